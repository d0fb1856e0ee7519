"""Tiles that do not change which experts a repair takes.

python examples/route_aware_tiling.py --tile 128

A network that chooses its experts by the whole picture sees another picture in every tile. Cut
and repaired one by one, tiles take experts of their own, and their borders show. With `tile=`,
pixperts surveys the picture first and hands the sums of the whole to every tile. Here both are
compared with the picture that is repaired at once. The noise on the photo is synthetic.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

import pixperts
from pixperts.degradations import degrade
from pixperts.ops import to_float
from pixperts.routing import Routing

HERE = Path(__file__).parent


def noisy_on_one_side(photo: Tensor) -> Tensor:
    """Strong noise on the left half alone, so that tiles differ in what is wrong with them."""
    half = photo.shape[2] // 2
    noisy = degrade(photo, "noise50", 1)
    return torch.cat([noisy[:, :, :half], photo[:, :, half:]], dim=2)


def one_by_one(
    restorer: pixperts.Restorer, photo: Tensor, tile: int
) -> tuple[Tensor, set[tuple[int, ...]]]:
    """Cut, repair each tile as if it were a picture, join; and the experts that were taken."""
    result, taken = torch.empty_like(photo), set()
    for top in range(0, photo.shape[1], tile):
        for left in range(0, photo.shape[2], tile):
            part = photo[:, top : top + tile, left : left + tile]
            repaired, routings = restorer.restore_with_routing(part)
            result[:, top : top + tile, left : left + tile] = repaired
            taken.add(experts_of(routings))
    return result, taken


def experts_of(routings: tuple[Routing, ...]) -> tuple[int, ...]:
    """The expert of each decoder block."""
    return tuple(int(routing.experts[0, 0]) for routing in routings)


def main() -> None:
    """Repair at once, one by one and with a survey, and compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("photo", nargs="?", type=Path, default=HERE / "colosseum.jpg")
    parser.add_argument("--tile", type=int, default=128)
    parser.add_argument("-m", "--model", default="moce-ir-tiny")
    args = parser.parse_args()
    pixels = to_float(pixperts.read_image(args.photo).pixels)[..., :3]
    photo = noisy_on_one_side(torch.from_numpy(pixels).permute(2, 0, 1))
    whole, routings = pixperts.Restorer.load(args.model).restore_with_routing(photo)
    print(f"at once:           experts {experts_of(routings)}")
    naive, taken = one_by_one(pixperts.Restorer.load(args.model), photo, args.tile)
    print(f"tiles, one by one: experts {sorted(taken)}")
    aware, routings = pixperts.Restorer.load(args.model, tile=args.tile).restore_with_routing(photo)
    print(f"tiles, surveyed:   experts {experts_of(routings)}")
    for name, result in (("one by one", naive), ("surveyed", aware)):
        levels = 255 * (result - whole).abs()
        print(f"{name}: off by {levels.mean():.3f} of 255 levels, {levels.max():.2f} at most")


if __name__ == "__main__":
    main()
