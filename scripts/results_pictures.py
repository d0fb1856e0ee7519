"""The pictures of docs/results.md: expert maps, and real photos before and after a repair."""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pixperts.evaluation.repair_cases import small_pair
from pixperts.inference.enhancer import Enhancer
from pixperts.inference.expert_maps import draw, label
from pixperts.inference.restorer import Restorer
from pixperts.inference.upscaler import Upscaler
from pixperts.io.image import list_images, read_image, write_image
from pixperts.ops.pixels import from_float
from pixperts.ops.resize import bicubic, quantize
from remarks import SHOWN
from results_measure import Part, Row, read_tensor

MAP_SCALE, MAP_SIDE = 3, 160  # the photo is reduced to this long side, then enlarged
REAL_SIDE = 480  # longest side of a picture that is shown
ENHANCED_SIDE = 320  # of the part of a picture that is shown
SEED = 4  # of the faults of those that are spoiled here
ON_A_SHEET = 6  # pairs
QUALITIES = (90, 85, 80, 75, 70, 65, 60, 50, 40, 30)  # of WebP, the best that fits is taken
MAP_BYTES, REAL_BYTES = 75_000, 60_000  # at most for one picture

Pixels = NDArray[np.uint8]


def draw_maps(part: Part, model: str, photos: Sequence[Path], pictures: Path) -> None:
    """Each photo small, enlarged, and the expert of every pixel of the result, side by side."""
    upscaler = Upscaler.load(model, device="cpu")
    for photo in photos:
        target = pictures / f"map_{photo.stem}.webp"
        make = partial(_map, upscaler, photo, target)
        part.row(photo.stem, make, {"picture": target.name}, target)
    part.finish()


def _map(upscaler: Upscaler, path: Path, target: Path) -> Row:
    photo = read_tensor(path)
    small = quantize(bicubic(photo, shown_size(photo, MAP_SIDE)))
    height, width = (side * MAP_SCALE for side in small.shape[1:])
    large, routing = upscaler.upscale_with_routing(small, size=(width, height))
    assert routing is not None
    panels = {
        f"{small.shape[2]} x {small.shape[1]}, bicubic": to_pixels(bicubic(small, (height, width))),
        f"{upscaler.name}, x{MAP_SCALE}": to_pixels(large),
        "expert of every pixel": draw(routing, legend=False),
    }
    sheet = np.concatenate([label(panel, text) for text, panel in panels.items()], axis=1)
    write_small(target, sheet, MAP_BYTES)
    return {"shares": routing.shares, "costs": routing.costs, "mean_cost": routing.mean_cost}


def draw_enhanced(
    part: Part, enhancer: Enhancer, examples: Mapping[Path, str], real: Path, pictures: Path
) -> None:
    """Photos before and after `enhance`, with the same factor by bicubic interpolation.

    Args:
        part: where the rows go, each with the name of its picture.
        enhancer: what is shown.
        examples: photos, and the case of `repair_cases` by which their small versions are spoiled.
        real: folder of photos with real damage; those of `SHOWN` are drawn.
        pictures: the folder that is written.
    """
    wanted = dict(examples) | {real / f"{name}.webp": "" for name in SHOWN}
    for path, case in wanted.items():
        target = pictures / f"enhanced_{path.stem}.webp"
        make = partial(_enhance, enhancer, path, case, target)
        part.row(f"picture {path.stem}", make, {"picture": target.name, "case": case}, target)


def _enhance(enhancer: Enhancer, path: Path, case: str, target: Path) -> Row:
    photo = read_tensor(path)
    small = small_pair(photo, 2, case, SEED)[0] if case else photo
    size = small.shape[2] * 2, small.shape[1] * 2
    panels = {
        f"{case or path.stem}, bicubic": bicubic(small, size[::-1]),
        enhancer.name: enhancer.enhance(small, size=size),
    }
    panels |= {"original": photo[:, : size[1], : size[0]]} if case else {}
    shown = [label(_middle(to_pixels(panel)), text) for text, panel in panels.items()]
    write_small(target, np.concatenate(shown, axis=1), REAL_BYTES)
    return {"width": size[0], "height": size[1]}


def _middle(pixels: Pixels) -> Pixels:
    """At most `ENHANCED_SIDE` pixels of each side."""
    places = [
        slice(max(0, (length - ENHANCED_SIDE) // 2), (length + ENHANCED_SIDE) // 2)
        for length in pixels.shape[:2]
    ]
    return np.ascontiguousarray(pixels[places[0], places[1]])


def repair_real(
    part: Part, model: str, folder: Path, limit: int | None, pictures: Path, private: Path
) -> None:
    """Every photo of the folders in a folder, before and after, side by side.

    Those that may be shown go to `pictures`, the others to `private`.
    """
    restorer = Restorer.load(model, device="cpu")
    for kind in sorted(path for path in folder.iterdir() if path.is_dir()):
        for photo in list_images(kind)[:limit]:
            name = f"{kind.name}/{photo.stem}"
            target = pictures if name in SHOWN else private
            target = target / f"real_{kind.name}_{photo.stem}.webp"
            make = partial(_repair, restorer, photo, target)
            part.row(name, make, {"picture": target.name}, target)
    part.finish()
    write_sheets(part, (pictures, private), private / "sheets")


def write_sheets(part: Part, folders: Sequence[Path], sheets: Path) -> None:
    """All pairs, some to a sheet, for whoever looks at them and writes the remarks."""
    names = list(part.rows)
    for number in range(0, len(names), ON_A_SHEET):
        cells = []
        for name in names[number : number + ON_A_SHEET]:
            files = [folder / part.rows[name]["picture"] for folder in folders]
            pixels = read_image(next(file for file in files if file.is_file())).pixels
            cells.append(label(np.ascontiguousarray(_on_white(pixels), np.uint8), name))
        write_image(sheets / f"{number // ON_A_SHEET:02d}.png", _in_columns(cells, 2))


def _on_white(pixels: Pixels) -> Pixels:
    """At the left top of a cell."""
    cell = np.full((max(REAL_SIDE // 2, pixels.shape[0]), 2 * REAL_SIDE + 6, 3), 255, np.uint8)
    cell[: pixels.shape[0], : pixels.shape[1]] = pixels[..., :3]
    return cell


def _in_columns(cells: Sequence[Pixels], columns: int) -> Pixels:
    """One below the other, in columns; all cells are equally wide."""
    stacks = [np.concatenate(cells[column::columns]) for column in range(min(columns, len(cells)))]
    height = max(len(stack) for stack in stacks)
    filled = [
        np.concatenate([s, np.full((height - len(s), *s.shape[1:]), 255, np.uint8)]) for s in stacks
    ]
    return np.concatenate(filled, axis=1)


def _repair(restorer: Restorer, path: Path, target: Path) -> Row:
    photo = read_tensor(path)
    started = time.perf_counter()
    repaired = restorer.restore(photo)
    seconds = time.perf_counter() - started
    size = shown_size(photo, REAL_SIDE)
    both = [to_pixels(bicubic(picture, size)) for picture in (photo, repaired)]
    gap = np.full((size[0], 6, 3), 255, np.uint8)
    write_small(target, np.concatenate([both[0], gap, both[1]], axis=1), REAL_BYTES)
    change = float((255 * (repaired - photo)).square().mean().sqrt())  # rms, 8-bit levels
    shape = {"width": photo.shape[2], "height": photo.shape[1]}
    return shape | {"seconds": seconds, "change": change}


def shown_size(picture: Tensor, side: int) -> tuple[int, int]:
    """(height, width) with the long side reduced to a length, if it is longer.

    >>> shown_size(torch.zeros(3, 396, 600), 480), shown_size(torch.zeros(3, 120, 90), 480)
    ((317, 480), (120, 90))
    """
    height, width = picture.shape[1:]
    factor = min(1.0, side / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def to_pixels(picture: Tensor) -> Pixels:
    """(3, H, W) in [0, 1] as (H, W, 3) uint8, clipped."""
    levels = from_float(picture.clamp(0, 1).permute(1, 2, 0).numpy(), np.uint8)
    return np.ascontiguousarray(levels, np.uint8)


def write_small(target: Path, pixels: Pixels, most: int) -> None:
    """A WebP of at most so many bytes, of the highest quality that allows it; else of the least."""
    for quality in QUALITIES:
        write_image(target, pixels, quality=quality)
        if target.stat().st_size <= most:
            break
