"""Tune the packaged enlarger to your own photos, and say what it brought (needs pixperts[train]).

python examples/train_on_photos.py my/photos --out runs/mine --minutes 5

Sharp photos are enough: they are shrunk on the way to the network. A tenth of them is kept apart
and never trained on; on these, the packaged model is compared with the tuned one.
"""

import argparse
from datetime import timedelta
from pathlib import Path

import torch

import pixperts
from pixperts.evaluation import psnr
from pixperts.io import list_images
from pixperts.ops import bicubic, to_float
from pixperts.training import TrainConfig, train

CONFIG = Path(__file__).parents[1] / "configs/own_photos_upscale.yaml"


def quality(model: str | Path, photos: list[Path], scale: int = 2) -> float:
    """Mean PSNR in dB, on luma, of photos that are shrunk and enlarged again."""
    upscaler = pixperts.Upscaler.load(model, device="cpu")
    total = 0.0
    for photo in photos:
        pixels = pixperts.read_image(photo).pixels
        clean = torch.from_numpy(to_float(pixels))[..., :3].permute(2, 0, 1)
        height, width = (side // scale * scale for side in clean.shape[1:])
        clean = clean[:, :height, :width]
        small = bicubic(clean, (height // scale, width // scale)).clamp(0, 1)
        small = (small * 255).round() / 255  # as a file of 8 bits holds it
        large = upscaler.upscale(small, size=(width, height))
        total += psnr(large, clean, "y-shave", scale)
    return total / len(photos)


def main() -> None:
    """Split, train, compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("photos", type=Path, help="a folder of sharp photos in color, 2 or more")
    parser.add_argument("--out", type=Path, default=Path("runs/mine"))
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--steps", type=int, default=600, help="at most")
    parser.add_argument("--batch", type=int, default=8)
    args = parser.parse_args()
    found = list_images(args.photos)
    if len(found) < 2:
        raise SystemExit(f"{args.photos}: two photos or more are needed, one to compare with.")
    kept = found[:: max(2, min(10, len(found)))]
    changes = [
        f"photos=[{args.photos}]",
        f"exclude=[{', '.join(path.name for path in kept)}]",
        f"batch={args.batch}",
        f"max_steps={args.steps}",
        f"check_every={min(100, args.steps)}",
        f"warmup_steps={min(20, args.steps)}",
    ]
    config = TrainConfig.from_yaml(CONFIG, changes)
    before = quality(str(config.init), kept)
    weights = train(config, args.out, max_time=timedelta(minutes=args.minutes))
    after = quality(weights, kept)
    print(f"{len(kept)} photos kept apart, x2: {before:.2f} dB before, {after:.2f} dB after")
    print(f"pixperts upscale small.jpg --scale 3 --model {weights}")


if __name__ == "__main__":
    main()
