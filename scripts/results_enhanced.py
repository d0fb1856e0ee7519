"""What docs/results.md says of repairing and enlarging together.

Every figure comes from the models that `load` gives, on photos that were reduced and spoiled here.
A measurement is saved as soon as it is made (`Part.pictures`) and not made again.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from pixperts.data.photos import load_photos
from pixperts.defaults import DEFAULT_ENHANCE_MODEL, DEFAULT_MODEL, DEFAULT_REPAIR_MODEL
from pixperts.evaluation.metrics import psnr
from pixperts.evaluation.repair_cases import small_pair
from pixperts.inference.enhancer import Enhancer
from pixperts.inference.restorer import Restorer
from pixperts.inference.upscaler import Upscaler
from pixperts.ops.resize import bicubic, quantize
from results_measure import Part, Row, load_as
from results_text import FIGURES, circumstances, counted, factor, rows, table

MODELS = DEFAULT_ENHANCE_MODEL, DEFAULT_REPAIR_MODEL, DEFAULT_MODEL
CASES = (
    "clean", "jpeg", "phone", "noise15", "noise25_jpeg90", "grain", "rain", "snow", "haze",
    "dark0.12_jpeg", "blur", "scratches", "low_haze_rain",
)  # fmt: skip
SCALES = (1.0, 1.5, 2.0, 3.0, 4.0)
PLAIN, ALONE, REPAIRED, TWO, ONE = "bicubic", "enlarged", "repaired, bicubic", "two", "one"
EQUAL = 100.0  # dB that equal pictures count as

Way = Callable[[Tensor, tuple[int, int]], Tensor]  # picture, (width, height)


def enhancer_of(part: Part) -> Enhancer:
    """The one model, as it is measured."""
    return Enhancer(load_as(Restorer, MODELS[0], part.settings["precision"]))


def measure_enhanced(part: Part, folder: Path, count: int) -> None:
    """PSNR of every way, and the processor seconds of two models and of one.

    Args:
        part: where the rows go.
        folder: of photos.
        count: of the photos.
    """
    precision, one = part.settings["precision"], enhancer_of(part)
    restorer = load_as(Restorer, MODELS[1], precision)
    ways = _ways(restorer, load_as(Upscaler, MODELS[2], precision), one)
    photos = load_photos([folder], min_side=1)[:count]
    for scale in SCALES:
        for case in CASES:

            def measured(number: int, scale: float = scale, case: str = case) -> Row:
                return _photo(ways, photos, scale, case, number)

            labels = {"scale": scale, "case": case}
            part.pictures(f"x{scale:g} {case}", measured, labels, len(photos))
    part.finish()


def _ways(restorer: Restorer, upscaler: Upscaler, one: Enhancer) -> dict[str, Way]:
    two = Enhancer(restorer, upscaler)

    def plain(image: Tensor, size: tuple[int, int]) -> Tensor:
        same = (image.shape[2], image.shape[1]) == size
        return image if same else bicubic(image, size[::-1]).clamp(0, 1)

    return {
        PLAIN: plain,
        ALONE: lambda image, size: upscaler.upscale(image, size=size),
        REPAIRED: lambda image, size: plain(restorer.restore(image), size),
        TWO: lambda image, size: two.enhance(image, size=size),
        ONE: lambda image, size: one.enhance(image, size=size),
    }


def _photo(
    ways: dict[str, Way], photos: Sequence[Tensor], scale: float, case: str, number: int
) -> Row:
    small, target = small_pair(photos[number].float() / 255, scale, case, number)
    found: Row = {}
    for name, way in ways.items():
        if scale == 1 and name in (TWO, ONE):  # the repair alone, to the byte
            found |= {name: found[REPAIRED], f"{name} seconds": found[f"{REPAIRED} seconds"]}
            continue
        started = time.process_time()
        result = way(small, (target.shape[2], target.shape[1]))
        found[f"{name} seconds"] = time.process_time() - started
        found[name] = min(EQUAL, psnr(quantize(result), target, "rgb"))
    found["megapixels"] = target[0].numel() / 1e6
    return found


def enhanced(part: Row) -> list[str]:
    """A table for each factor, and seconds."""
    found = [row for row in rows(part) if "pictures" in row]
    count = min(len(row["pictures"]) for row in found)
    enlarges, repairs, both = MODELS[2], MODELS[1], MODELS[0]
    lines = [
        f"{counted(count, 'photo')} of CID22-val, reduced by antialiased bicubic, rounded to 8 "
        "bit, then spoiled; faults are synthetic, and the photo's number is the seed. PSNR in dB "
        "on all channels of whole pictures, against the photo, results rounded to 8 bit; equal "
        f"pictures count as 100 dB. Two models: {repairs}, then {enlarges}. One: {both}, the "
        "default of `pixperts enhance`. At x1, both are the repair alone, so its figures are "
        "repeated there and were not measured. In brackets: the lowest difference of a photo "
        f"between one model and two. All run in {part['settings']['precision']}.",
    ]
    head = ["fault", PLAIN, f"{enlarges} alone", f"{repairs}, bicubic", "two models", "one model"]
    for scale in dict.fromkeys(row["scale"] for row in found):
        mine = [row for row in found if row["scale"] == scale]
        body = [[row["case"], *_means(row["pictures"][:count])] for row in mine]
        every = [picture for row in mine for picture in row["pictures"][:count]]
        lines += ["", f"**{factor(scale)}**", "", *table(head, [*body, ["mean", *_means(every)]])]
    lines += _seconds(found, count, circumstances(part["settings"]))
    shown = [row for row in rows(part) if "picture" in row]
    if shown:
        lines += [
            "",
            f"`{both}` at x2. Sample photos were reduced by 2 and spoiled (synthetic). Of the "
            "photos with real damage, only one may be shown.",
        ]
    for row in shown:
        text = row["case"] or "real damage"
        lines += ["", f"![{text}: bicubic, {both}]({FIGURES}/{row['picture']})"]
    return lines


def _means(pictures: Sequence[Row]) -> list[str]:
    """The mean of each way, and what one model loses against two at most."""
    means = [
        f"{sum(picture[name] for picture in pictures) / len(pictures):.2f}"
        for name in (PLAIN, ALONE, REPAIRED, TWO, ONE)
    ]
    lowest = min(picture[ONE] - picture[TWO] for picture in pictures)
    means[-1] += f" ({lowest:+.2f})"
    return means


def _seconds(found: Sequence[Row], count: int, where: str) -> list[str]:
    """Processor seconds of a megapixel of the result, over all faults."""
    body = []
    for scale in dict.fromkeys(row["scale"] for row in found):
        every = [p for row in found if row["scale"] == scale for p in row["pictures"][:count]]
        area = sum(picture["megapixels"] for picture in every)
        cells = [
            f"{sum(picture[f'{name} seconds'] for picture in every) / area:.2f}"
            for name in (ALONE, REPAIRED, TWO, ONE)
        ]
        body.append([factor(scale), *cells])
    head = ["", f"{MODELS[2]} alone", f"{MODELS[1]}, bicubic", "two models", "one model"]
    return [
        "",
        f"Processor seconds per megapixel of the result, mean of all faults ({where}):",
        "",
        *table(head, body),
    ]
