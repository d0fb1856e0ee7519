"""How much results flicker on a still scene, with and without choices that are held.

    python benchmarks/flicker.py --frames 12 --side 128

A still photo with fresh grain in each frame, once as it is and once through H.264, is enlarged and
repaired frame by frame. Printed is the standard deviation of each pixel over time, of 255 levels,
as the root mean square over all pixels. Then a camera that moves over a dark photo: how much the
repair brightens each frame, its mean and standard deviation in percent. All synthetic.
"""

import argparse
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pixperts.inference import Restorer, Upscaler
from pixperts.inference.findings import RepairSettings
from pixperts.inference.streams import ArraySink, ArraySource
from pixperts.io import read_image
from pixperts.io.arrays import to_tensor
from pixperts.jobs.clips.steady import spread, typical
from pixperts.models.moce_ir.statistics import Statistics
from pixperts.models.moeisr.model import MoEISR

PHOTO = Path(__file__).parents[1] / "examples" / "osprey.jpg"
Frames = list[NDArray[np.uint8]]


def still(side: int, count: int, grain: float, darker: float = 1.0) -> Frames:
    """A square from the middle of a photo, reduced, with fresh noise in each frame."""
    pixels = read_image(PHOTO).pixels.astype(np.float64)
    step = min(pixels.shape[:2]) // side
    half = side * step
    top, left = ((n - half) // 2 for n in pixels.shape[:2])
    part = pixels[top : top + half, left : left + half]
    small = part.reshape(side, step, side, step, 3).mean(axis=(1, 3)) * darker
    random = np.random.default_rng(0)
    noisy = [small + random.normal(0, grain, small.shape) for _ in range(count)]
    return [np.clip(np.rint(frame), 0, 255).astype(np.uint8) for frame in noisy]


def coded(frames: Frames, crf: int) -> Frames:
    """The same through H.264."""
    memory = io.BytesIO()
    with av.open(memory, "w", format="matroska") as container:
        stream = container.add_stream("libx264", 25, options={"crf": str(crf)})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    memory.seek(0)
    with av.open(memory, "r") as container:
        return [cast(Any, f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]


def flicker(frames: Sequence[NDArray[Any]]) -> float:
    """Root mean square over all pixels of their standard deviation over time."""
    values = np.stack(frames).astype(np.float64)
    return float(np.sqrt(values.var(axis=0, ddof=1).mean()))


class Pinned(nn.Module):
    """A mapper that says of every picture what it said of some on average."""

    def __init__(self, mapper: nn.Module) -> None:
        super().__init__()
        self.mapper = mapper
        self.seen: list[torch.Tensor] = []
        self.fixed: torch.Tensor | None = None

    def forward(self, *given: Any) -> torch.Tensor:
        if self.fixed is not None:
            return self.fixed
        self.seen.append(self.mapper(*given))
        return self.seen[-1]


def enlarged(name: str, frames: Frames) -> dict[str, float]:
    model = Upscaler.load(name, device="cpu")
    found = {"each frame": flicker([model.upscale(frame, scale=2) for frame in frames])}
    network = model.model
    if isinstance(network, MoEISR) and network.mapper is not None:
        pinned = Pinned(network.mapper)
        network.mapper = cast(Any, pinned)
        for frame in frames:
            model.upscale(frame, scale=2)
        pinned.fixed = torch.stack(pinned.seen).mean(dim=0)
        found["held"] = flicker([model.upscale(frame, scale=2) for frame in frames])
    return found


def repairs(
    model: Restorer, frames: Frames, settings: RepairSettings, statistics: Statistics | None
) -> tuple[Frames, int]:
    """The frames, and among how many choices of experts they were divided."""
    made, choices = [], set()
    for frame in frames:
        pixels, back = to_tensor(frame)
        sink = ArraySink(1, 3, *frame.shape[:2])
        repair = model.repair_rows(ArraySource(pixels), sink, settings, statistics=statistics)
        made.append(back(sink.image))
        choices.add(tuple(tuple(r.experts.flatten().tolist()) for r in repair.routings))
    return made, len(choices)


def of_scene(model: Restorer, frames: Frames) -> Statistics:
    """The sums over a typical frame, as a run over a video takes them."""
    looks = (frames[number] for number in spread(range(len(frames))))
    return typical([model.count(ArraySource(to_tensor(frame)[0])) for frame in looks])


def repaired(name: str, frames: Frames) -> dict[str, float]:
    model, settings = Restorer.load(name, device="cpu"), RepairSettings(motion=False)
    each, held = (
        repairs(model, frames, settings, statistics)[0]
        for statistics in (None, of_scene(model, frames))
    )
    return {"each frame": flicker(each), "held": flicker(held)}


def moving_camera(name: str, side: int, count: int, darker: float) -> None:
    """Print by how much each frame of a pan is brightened, with and without a held choice."""
    model, settings = Restorer.load(name, device="cpu"), RepairSettings(motion=False)
    pixels = read_image(PHOTO).pixels.astype(np.float64) * darker
    room = pixels.shape[1] - side
    top = (pixels.shape[0] - side) // 2
    lefts = [room * number // (count - 1) for number in range(count)]
    frames = [
        np.rint(pixels[top : top + side, left : left + side]).astype(np.uint8) for left in lefts
    ]
    print(f"pan, {darker:.2f} of its light")
    for word, statistics in (("each frame", None), ("held", of_scene(model, frames))):
        made, choices = repairs(model, frames, settings, statistics)
        gains = [100 * a.mean() / b.mean() for a, b in zip(made, frames, strict=True)]
        text = f"{np.mean(gains):.1f} % of the input's, deviation {np.std(gains):.1f}"
        print(f"  {name}, {word}: brightness {text}; {choices} choices of experts", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--grain", type=float, default=2.0, help="of 255 levels")
    given = parser.parse_args()
    torch.set_num_threads(1)
    plain = still(given.side, given.frames, given.grain)
    dark = still(given.side, given.frames, given.grain, darker=0.35)
    cases = {"grain": plain, "grain, H.264": coded(plain, 26), "dark, H.264": coded(dark, 26)}
    work: list[tuple[str, Callable[[str, Frames], dict[str, float]]]] = [
        ("moeisr-photo", enlarged), ("moeisr-tiny", enlarged), ("moce-ir-light", repaired)
    ]  # fmt: skip
    for case, frames in cases.items():
        print(f"{case}: input {flicker(frames):.3f}")
        for name, run in work:
            figures = ", ".join(f"{key} {value:.3f}" for key, value in run(name, frames).items())
            print(f"  {name}: {figures}", flush=True)
    for darker in (0.5, 0.35, 0.25):
        moving_camera("moce-ir-light", 2 * given.side, given.frames, darker)


if __name__ == "__main__":
    main()
