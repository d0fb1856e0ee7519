"""Which share of this machine's peak the parts of our networks reach, on one thread.

    python benchmarks/peak.py [--threads 1] [--repeats 5] [--json FILE]

The peak is the fastest rate that a convolution of 3x3 from 64 to 64 channels and, for the routed
decoder of moeisr-tiny, a product of matrices reaches here in the same minutes, in multiply-adds a
processor second. Each part is timed alone, on a photo's worth of features, by the fastest of the
repeats, in processor time.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from pixperts.inference.restorer import Restorer
from pixperts.inference.upscaler import Upscaler
from pixperts.memory import keep_freed_memory
from pixperts.models.moce_ir_light.model import MoCEIRLight
from pixperts.models.moce_ir_light.parts import kernel_weights
from pixperts.models.moeisr.model import MoEISR
from pixperts.models.moeisr_light.model import MoEISRLight
from pixperts.models.moeisr_photo.model import MoEISRPhoto

SIDE = 256  # of the LR picture; the picture to repair has twice the side
FACTORS = (2.0, 2.5, 4.0)
Row = dict[str, Any]


def fastest(run: Callable[[], object], repeats: int) -> float:
    """Processor seconds of the fastest call, after one to warm up."""
    run()
    times = []
    for _ in range(repeats):
        began = time.process_time()
        run()
        times.append(time.process_time() - began)
    return min(times)


def peaks(repeats: int) -> dict[str, float]:
    """Multiply-adds a second of a convolution and of a product of matrices."""
    layer = nn.Conv2d(64, 64, 3, padding=1).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.randn(1, 64, 128, 128).contiguous(memory_format=torch.channels_last)
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    adds = 9 * 64 * 64 * 128.0**2
    return {
        "convolution": adds / fastest(lambda: layer(x), 4 * repeats),
        "matrices": 1024.0**3 / fastest(lambda: a @ b, 4 * repeats),
    }


def row(model: str, part: str, adds: float, seconds: float, peak: float) -> Row:
    """A part's work and rate; the share is of the peak."""
    rate = adds / seconds
    values = {"gmac": adds / 1e9, "seconds": seconds, "gmac_per_second": rate / 1e9}
    return {"model": model, "part": part, **values, "share": rate / peak}


def light_rows(name: str, lr: Tensor, peak: float, repeats: int) -> list[Row]:
    """Encoder and field of moeisr-light, or of the network of moeisr-photo for photos."""
    loaded = Upscaler.load(name, device="cpu", precision="float32").model
    model = loaded.photo if isinstance(loaded, MoEISRPhoto) else cast(MoEISRLight, loaded)
    height, width = lr.shape[2:]
    features = model.encode(lr)
    adds = model.multiply_adds((height, width), (2 * height, 2 * width))["encoder"]
    found = [row(name, "encoder", adds, fastest(lambda: model.encode(lr), repeats), peak)]
    for factor in FACTORS:
        size = (round(height * factor), round(width * factor))
        adds = model.multiply_adds((height, width), size)["field"]
        seconds = fastest(lambda size=size: model.field(features, lr, size, None), repeats)  # type: ignore[misc]
        found.append(row(name, f"field, x{factor:g}", adds, seconds, peak))
    return found


def tiny_rows(lr: Tensor, peak: float, matrices: float, repeats: int) -> list[Row]:
    """Encoder, and mapper with experts, of moeisr-tiny at x2."""
    name = "moeisr-tiny"
    model = cast(MoEISR, Upscaler.load(name, device="cpu").model)
    height, width = lr.shape[2:]
    size = (2 * height, 2 * width)
    shares = model(lr, size).routings[0].shares
    adds = model.multiply_adds((height, width), size, shares)
    encoding = fastest(lambda: model.encode(lr), repeats)
    whole = fastest(lambda: model(lr, size), repeats)
    rest = adds["total"] - adds["encoder"]
    return [
        row(name, "encoder", adds["encoder"], encoding, peak),
        row(name, "mapper and experts, x2", rest, whole - encoding, matrices),
    ]


def repair_rows(picture: Tensor, peak: float, repeats: int) -> list[Row]:
    """Scout, shared blocks, and each kind of expert of moce-ir-light."""
    name = "moce-ir-light"
    model = cast(MoCEIRLight, Restorer.load(name, device="cpu", precision="float32").model)
    height, width = picture.shape[2:]
    statistics = model.count(picture)
    embedding = model.scout(statistics)
    routings = model.repair(picture, embedding).routings
    adds = model.multiply_adds((height, width), routings)
    scouting = fastest(lambda: model.count(picture), repeats)
    whole = fastest(lambda: model.repair(picture, embedding), repeats)
    found = [
        row(name, "scout and motion", adds["scout"], scouting, peak),
        row(name, "all else, as routed", adds["total"] - adds["scout"], whole, peak),
    ]
    block, kinds = model.mixtures[-1], ("1x1", "two 3x3", "two dilated")  # at 1/4 of the sides
    channels = block.first.in_channels
    x = torch.randn(1, channels, height // 4, width // 4)
    x = x.contiguous(memory_format=torch.channels_last)
    for expert, kind in zip(block.experts, kinds, strict=True):
        work = kernel_weights(expert) * float(x.shape[2] * x.shape[3])
        seconds = fastest(lambda expert=expert: expert(x), repeats)  # type: ignore[misc]
        found.append(row(name, f"expert {kind}, {channels} channels", work, seconds, peak))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_freed_memory()  # as the command line does
    smooth = nn.functional.avg_pool2d(
        torch.rand(1, 3, 2 * SIDE, 2 * SIDE, generator=torch.Generator().manual_seed(0)), 5, 1, 2
    )
    lr = smooth[:, :, ::2, ::2].contiguous()
    with torch.inference_mode():
        before = peaks(args.repeats)
        convolution, matrices = before["convolution"], before["matrices"]
        found = [
            *light_rows("moeisr-photo", lr, convolution, args.repeats),
            *tiny_rows(lr, convolution, matrices, args.repeats),
            *repair_rows(smooth, convolution, args.repeats),
        ]
    settings = {
        "threads": args.threads,
        "repeats": args.repeats,
        "load": os.getloadavg()[0],
        "peaks": before,
        "side": SIDE,
    }
    print(f"peak: convolution {convolution / 1e9:.0f}, matrices {matrices / 1e9:.0f} GMAC/s; "
          f"float32, {args.threads} thread(s), torch {torch.__version__}, load "
          f"{settings['load']:.1f}")  # fmt: skip
    print("| model | part | GMAC | core-s | GMAC/s | of the peak |\n|---|---|---|---|---|---|")
    for r in found:
        print(f"| {r['model']} | {r['part']} | {r['gmac']:.2f} | {r['seconds']:.3f} "
              f"| {r['gmac_per_second']:.0f} | {r['share']:.0%} |")  # fmt: skip
    if args.json:
        args.json.write_text(json.dumps({"settings": settings, "rows": found}, indent=1))


if __name__ == "__main__":
    main()
