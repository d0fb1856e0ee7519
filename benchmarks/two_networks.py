"""What each network of moeisr-photo gains on pictures of many kinds, and which one the judge picks.

    python benchmarks/two_networks.py [MODEL] --bench FOLDER [--photos 41] [--scales 2 4]
        [--cases clean jpeg95 phone screen screen_jpeg75 ...] [--threads 2]

MODEL is a packaged model or a weights file. FOLDER holds CID22-val, a folder of clean photos. For
each case a line of Markdown: gain over bicubic in dB by the network for photos, by the one for
clean pictures, and by the one that is picked; in brackets the lowest gain of any picture; and how
many pictures take the network for clean ones. Y channel, a border of `scale` pixels cut, results
rounded to 8 bit. All pictures are reduced by an antialiased bicubic kernel and then get their
faults, which are synthetic, as drawings are; the number of the picture is the seed.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from pixperts.data.image_files import read_photo
from pixperts.degradations.camera import jpeg
from pixperts.degradations.drawings import draw_over
from pixperts.evaluation.metrics import psnr
from pixperts.evaluation.photo_cases import photo_pair
from pixperts.evaluation.repair_cases import small_pair
from pixperts.inference.streams import ArraySink, ArraySource
from pixperts.inference.upscaler import Upscaler
from pixperts.io.image import list_images
from pixperts.ops.resize import bicubic, quantize

DRAWINGS = ("page", "screen", "lines", "hatching", "dots")
CASES = (
    "clean", "jpeg95", "jpeg85", "jpeg75", "jpeg60", "jpeg40", "soft", "soft85", "soft60",
    "phone", "noise5", "noise15", "grain",
    *DRAWINGS, *(f"{kind}_jpeg75" for kind in DRAWINGS),
)  # fmt: skip


def pairs(folder: Path, count: int, scale: int, case: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Small pictures (3, h, w) and their targets (3, H, W) in [0, 1]."""
    for seed, path in enumerate(list_images(folder)[:count]):
        kind, _, quality = case.partition("_jpeg")
        if kind in DRAWINGS:
            drawing = draw_over(read_photo(path).float() / 255, seed, kind)
            size = drawing.shape[1] // scale, drawing.shape[2] // scale
            target = drawing[:, : size[0] * scale, : size[1] * scale].contiguous()
            small = quantize(bicubic(target, size))
            yield (quantize(jpeg(small, quality=int(quality))) if quality else small), target
        elif case.startswith(("clean", "jpeg", "soft")):
            yield photo_pair(path, scale, case)
        else:
            yield small_pair(read_photo(path).float() / 255, scale, case, seed)


def row(model: Upscaler, case: str, scale: int, pictures: Iterator[tuple[Tensor, Tensor]]) -> str:
    """One line of the table."""
    gains: list[list[float]] = [[], [], []]
    clean = 0
    for small, target in pictures:
        size = target.shape[2], target.shape[1]
        plain = psnr(quantize(bicubic(small, size[::-1])), target, "y-shave", scale)
        picked = model.member_for(ArraySource(small[None]), size)
        assert picked is not None
        for member in (0, 1):
            sink = ArraySink(1, 3, size[1], size[0])
            model.upscale_rows(ArraySource(small[None]), sink, size, member=member)
            gain = psnr(quantize(sink.image[0]), target, "y-shave", scale) - plain
            gains[member].append(gain)
            if member == picked:
                gains[2].append(gain)
        clean += picked
    cells = [f"{sum(each) / len(each):+.2f} ({min(each):+.2f})" for each in gains]
    return f"| x{scale} {case} | {' | '.join(cells)} | {clean} of {len(gains[0])} |"


def main() -> None:
    """Read the command line, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", nargs="?", default="moeisr-photo")
    parser.add_argument("--bench", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=41, help="of CID22-val")
    parser.add_argument("--scales", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--cases", nargs="+", default=CASES)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = Upscaler.load(args.model)
    print("| case | network for photos | for clean pictures | picked | takes the latter |")
    print("|---|---|---|---|---|")
    for scale in args.scales:
        for case in args.cases:
            found = pairs(args.bench / "CID22-val", args.photos, scale, case)
            print(row(model, case, scale, found), flush=True)


if __name__ == "__main__":
    main()
