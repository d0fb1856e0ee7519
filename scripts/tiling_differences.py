"""How far a repair in tiles lies from the repair at once, for docs/tiling.md.

    python scripts/tiling_differences.py PHOTO... [--tasks haze,rain] [--tiles 256] [--ways alone]

Photos are degraded by seeded synthetic degradations. Printed are the mean and the largest
difference in units of 1/255 and the largest mean jump of the difference across a border of tiles,
for tiles that know nothing of the picture, for statistics of a reduced copy, for one to three
surveys, and for as many as `tiled_restore` makes; and the seconds that each took.
"""

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor

from pixperts.data.restoration import degraded_or_clean
from pixperts.inference import tiled_restore
from pixperts.inference.device import DeviceRunner
from pixperts.inference.findings import RepairSettings
from pixperts.inference.restorer import Restorer
from pixperts.inference.streams import ArraySink, ArraySource
from pixperts.inference.tiled_restore import TiledRestore
from pixperts.io.image import read_image
from pixperts.memory import keep_freed_memory
from pixperts.models.interfaces import SurveyedNetwork
from pixperts.models.moce_ir.statistics import Statistics
from pixperts.ops.resize import bicubic
from pixperts.ops.windows import Window
from pixperts.routing import Routing

TILES = (128, 256, 512, 1024)


class Alone(TiledRestore):
    """Tiles that know nothing of one another."""

    def _survey(self, side: int, given: Statistics | None, number: int) -> Statistics:
        return Statistics(((torch.zeros(1),),))

    def _grid(self, statistics: Statistics | None) -> int:
        return 32

    def _repaired(
        self, pixels: Tensor, statistics: Statistics | None, window: Window
    ) -> tuple[Tensor, tuple[Routing, ...]]:
        return super()._repaired(pixels, None, window)


class FromReduced(TiledRestore):
    """Statistics of a copy of at most 512 pixels a side."""

    def _survey(self, side: int, given: Statistics | None, number: int) -> Statistics:
        rows = self.source.rows(0, self.size[0])
        factor = min(1.0, 512 / max(self.size))
        small = bicubic(rows, (round(self.size[0] * factor), round(self.size[1] * factor)))
        assert isinstance(self.model, SurveyedNetwork)
        return self.model.survey(small.clamp(0, 1))[1]


SETTLED, MOST = tiled_restore.SETTLED, tiled_restore.MOST_SURVEYS
WAYS: dict[str, tuple[type[TiledRestore], int, float]] = {  # with the most surveys and when to stop
    "alone": (Alone, 1, 0.0),
    "reduced copy": (FromReduced, 1, 0.0),
    "1 survey": (TiledRestore, 1, 0.0),
    "2 surveys": (TiledRestore, 2, 0.0),
    "3 surveys": (TiledRestore, 3, 0.0),
    "until settled": (TiledRestore, MOST, SETTLED),
}


def repaired(kind: type[TiledRestore], restorer: Restorer, image: Tensor, side: int) -> Tensor:
    """(1, 3, H, W), in tiles of a side."""
    canvas = ArraySink(*image.shape)
    runner = DeviceRunner(restorer.name, restorer.device)
    with torch.inference_mode():
        kind(restorer.model, runner, ArraySource(image), RepairSettings(), None).run(
            canvas, side, 0
        )
    return canvas.image


def jump(difference: Tensor, side: int) -> float:
    """The largest mean jump across a border of tiles."""
    height, width = difference.shape[-2:]
    rows = [difference[..., y, :] - difference[..., y - 1, :] for y in range(side, height, side)]
    columns = [difference[..., x] - difference[..., x - 1] for x in range(side, width, side)]
    return max([line.abs().mean().item() for line in rows + columns], default=0.0)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--model", default="moce-ir-tiny")
    parser.add_argument("--tasks", default="noise25,rain,haze,low_light")
    parser.add_argument("--tiles", default=",".join(map(str, TILES)))
    parser.add_argument("--ways", default=",".join(WAYS))
    args = parser.parse_args()
    keep_freed_memory()  # as the command line does; the seconds are its own
    restorer = Restorer.load(args.model)
    print(f"| photo | task | way | tile | mean | largest | jump | seconds |\n{'|---' * 8}|")
    for number, path in enumerate(args.photos):
        pixels = torch.from_numpy(read_image(path).pixels[..., :3]).permute(2, 0, 1).float() / 255
        for task in args.tasks.split(","):
            image = degraded_or_clean(pixels, task, number)[None]
            started = time.perf_counter()
            with torch.inference_mode():
                whole = restorer.model(image).image.clamp(0, 1)
            seconds = time.perf_counter() - started
            shown = f"{image.shape[3]} x {image.shape[2]}"
            print(f"| {path.stem} {shown} | {task} | at once | | | | | {seconds:.1f} |", flush=True)
            for side in map(int, args.tiles.split(",")):
                if side >= max(image.shape[2:]):
                    continue
                for name in args.ways.split(","):
                    kind, tiled_restore.MOST_SURVEYS, tiled_restore.SETTLED = WAYS[name]
                    started = time.perf_counter()
                    found = repaired(kind, restorer, image, side)
                    seconds = time.perf_counter() - started
                    off = 255 * (found - whole)
                    print(
                        f"| {path.stem} | {task} | {name} | {side} | {off.abs().mean():.3f} | "
                        f"{off.abs().max():.2f} | {jump(off, side):.3f} | {seconds:.1f} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
