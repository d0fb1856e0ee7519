"""How well models repair pictures as people have them, and what they do to good ones.

    python benchmarks/repair_cases.py moce-ir-tiny [MODEL ...] --bench FOLDER [--photos 41]
        [--spared FOLDER NAME ...] [--dust 1] [--threads 2]

MODEL is a packaged model or a weights file. FOLDER holds folders of clean pictures, CID22-val and
CBSD68. For each case a line of Markdown: PSNR of the input, and of each model's result its mean,
and the worst difference from the input of any picture, in dB; RGB, whole pictures rounded to 8
bit. Of pictures that are good already the lowest PSNR stands in place of the worst difference.
Faults are synthetic, with the picture's number as seed. Results are those of `pixperts restore`.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from pixperts.evaluation.metrics import psnr
from pixperts.evaluation.repair_cases import (
    DARK_CASES,
    FAULTS,
    SAVED,
    UNTOUCHED,
    repair_pair,
)
from pixperts.inference.restorer import Restorer
from pixperts.io.image import list_images, read_image
from pixperts.ops.pixels import to_float
from pixperts.ops.resize import quantize

TASKS = (
    "noise15", "noise25", "noise50", "jpeg", "grain", "grain_jpeg", "rain", "snow", "haze",
    "low_light", "blur", "scratches", "low_haze_rain",
)  # fmt: skip
MOST = 100.0  # dB, of equal pictures


def picture(path: Path) -> Tensor:
    """(3, H, W) in [0, 1]."""
    return torch.from_numpy(to_float(read_image(path).pixels)).permute(2, 0, 1)[:3].contiguous()


def line(
    name: str, models: Sequence[Restorer], pairs: Sequence[tuple[Tensor, Tensor]], dust: float
) -> str:
    """One row of the table; `dust` is how much of dust and scratches is removed."""
    before = [min(MOST, psnr(degraded, target, "rgb")) for degraded, target in pairs]
    good = all(torch.equal(*pair) for pair in pairs)
    cells = ["equal" if good else f"{sum(before) / len(before):.2f}"]
    for model in models:
        after = [
            min(MOST, psnr(quantize(model.restore(degraded, dust=dust)), target, "rgb"))
            for degraded, target in pairs
        ]
        worst = min(after) if good else min(a - b for a, b in zip(after, before, strict=True))
        cells.append(f"{sum(after) / len(after):.2f} ({worst:.2f})")
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    """Read the command line, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--bench", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=41, help="of CID22-val and CBSD68 each")
    parser.add_argument(
        "--spared", nargs="+", default=[], help="a folder, and names of good photos"
    )
    parser.add_argument("--cases", nargs="+", help="only these")
    parser.add_argument("--dust", type=float, default=0.0, help="as of `pixperts restore`")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    models = [Restorer.load(name) for name in args.models]
    print(f"| case | input | {' | '.join(args.models)} |")
    print("|---|" + "---|" * (1 + len(models)))
    photos = [picture(path) for path in list_images(args.bench / "CID22-val")[: args.photos]]
    gray = [picture(path) for path in list_images(args.bench / "CBSD68")[: args.photos]]
    groups = [("CBSD68 ", gray, ("noise25",)), ("", photos, (*FAULTS, *TASKS, *DARK_CASES))]
    for prefix, pictures, cases in groups:
        for case in cases:
            if args.cases is None or case in args.cases:
                pairs = [repair_pair(photo, case, n) for n, photo in enumerate(pictures)]
                print(line(prefix + case, models, pairs, args.dust), flush=True)
    for case in (*SAVED, *UNTOUCHED):
        if args.cases is None or case in args.cases:
            few = photos if case == "clean" else photos[: math.ceil(args.photos / 4)]
            pairs = [repair_pair(photo, case, n) for n, photo in enumerate(few)]
            print(line(case, models, pairs, args.dust), flush=True)
    if args.spared:
        folder, *names = args.spared
        pairs = [(photo, photo) for photo in (picture(Path(folder) / name) for name in names)]
        print(line("good photos", models, pairs, args.dust), flush=True)


if __name__ == "__main__":
    main()
