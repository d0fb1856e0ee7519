"""What docs/results.md says in numbers: enlarging clean photos, and photos as they come.

Every figure comes from `evaluate_upscaling` or from the models that `load` gives. A measurement is
saved as soon as it is made (`Part.row`) and not made again.
"""

import hashlib
import json
import math
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pixperts.data.benchmarks import SuperResolutionSet
from pixperts.evaluation import metrics
from pixperts.evaluation.photo_cases import photo_pair
from pixperts.evaluation.upscaling import Upscaler, bicubic_upscaler, evaluate_upscaling
from pixperts.hardware import fastest_precision
from pixperts.inference.predictor import Predictor
from pixperts.inference.upscaler import Upscaler as LoadedUpscaler
from pixperts.io.atomic import replacing
from pixperts.io.image import list_images, read_image
from pixperts.ops.pixels import to_float
from pixperts.ops.resize import quantize
from pixperts.weights.catalogue import list_models
from pixperts.weights.packaged import packaged_models

Row = dict[str, Any]


class Part:
    """The measurements of one section, in a JSON file, each under its name.

    Args:
        path: of the file; what it holds is used where it was measured with the same settings.
        settings: all that the measurements depend on.
    """

    def __init__(self, path: Path, settings: Row) -> None:
        self.path, self.settings = path, settings
        self.rows: dict[str, Row] = {}
        if path.is_file():
            found = json.loads(path.read_text())
            if found["settings"] == json.loads(json.dumps(settings)):
                self.rows = found["rows"]
        self._save(finished=False)

    def row(self, name: str, make: Callable[[], Row], labels: Row, *files: Path) -> Row:
        """The saved measurement, or a new one where it, or a file that it wrote, is missing.

        A row that holds a reason for not having been measured is tried again. The labels say what
        was measured, and are part of the row.
        """
        saved = self.rows.get(name)
        if saved is None or "reason" in saved or not all(file.is_file() for file in files):
            started = time.perf_counter()
            self.rows[name] = labels | make()
            self._save(finished=False)
            print(f"{self.path.stem}: {name}, {time.perf_counter() - started:.1f} s", flush=True)
        return self.rows[name]

    def pictures(self, name: str, make: Callable[[int], Row], labels: Row, count: int) -> None:
        """A row with a list of what was measured of picture 0, 1, ...; those there are kept."""
        row = self.rows.setdefault(name, labels | {"pictures": []})
        started, known = time.perf_counter(), len(row["pictures"])
        for number in range(known, count):
            row["pictures"].append(make(number))
            self._save(finished=False)
        if known < count:
            seconds = time.perf_counter() - started
            print(f"{self.path.stem}: {name}, {count} pictures, {seconds:.1f} s", flush=True)

    def finish(self) -> None:
        """Note that nothing is missing."""
        self._save(finished=True)

    def _save(self, *, finished: bool) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = {"settings": self.settings, "finished": finished, "rows": self.rows}
        with replacing(self.path) as temporary:
            temporary.write_text(json.dumps(content, indent=1))


def circumstances(models: list[str], precision: str = "auto") -> Row:
    """What every measurement depends on besides its data: threads, machine, precision, weights."""
    digests = {
        name: hashlib.sha256(packaged_models()[name].read_bytes()).hexdigest()[:12]
        for name in models
    }
    return {
        "threads": torch.get_num_threads(),
        "machine": _machine(),
        "precision": fastest_precision() if precision == "auto" else precision,
        "weights": digests,
    }


P = TypeVar("P", bound=Predictor)


def load_as(kind: type[P], name: str, precision: str) -> P:
    """A packaged model on the CPU, in a precision where it is made for one, else in float32."""
    model = kind.load(name, device="cpu", precision="float32")
    if not model.model.fast_in_bfloat16:
        return model
    return kind(model.model, model.card, device="cpu", precision=precision)


def models_that(does: str) -> list[str]:
    """Packaged models that "enlarge" or "repair"."""
    return [entry.name for entry in list_models() if entry.trained and entry.does == does]


def _machine() -> str:
    """The processor's own name and its strongest instructions, where the system tells them."""
    name = platform.processor() or platform.machine()
    flags: list[str] = []
    if (listed := Path("/proc/cpuinfo")).is_file():
        values = dict(line.split(":", 1) for line in listed.read_text().splitlines() if ":" in line)
        values = {key.strip(): value.strip() for key, value in values.items()}
        name, flags = values.get("model name", name), values.get("flags", "").split()
    known = [flag for flag in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if flag in flags]
    means = f" with {known[0]}" if known else ""
    return f"{name}{means}, {os.cpu_count()} cores, torch {torch.__version__}"


@dataclass(frozen=True)
class FirstPictures(SuperResolutionSet):
    """The first pictures of a set, whose published LR folders hold all of them."""

    whole: SuperResolutionSet

    @classmethod
    def of(cls, whole: SuperResolutionSet, limit: int | None) -> SuperResolutionSet:
        """The set itself without a limit."""
        return whole if limit is None else cls(whole.folder, whole.pictures[:limit], whole)

    def check(self, scale: float) -> None:
        """As the whole set says."""
        self.whole.check(scale)

    def pair(self, index: int, scale: float) -> tuple[Tensor, Tensor]:
        """As the whole set gives it: the first pictures keep their places."""
        return self.whole.pair(index, scale)


@dataclass(frozen=True)
class Enlargements:
    """What is measured on one set."""

    data: SuperResolutionSet
    scales: Sequence[float]
    models: Sequence[str]  # beside those of `PLAIN`; slow ones take whole factors only
    budgets: Sequence[float | None]  # of mixtures, at whole factors


def measure_enlarging(part: Part, wanted: Sequence[Enlargements]) -> None:
    """Quality and multiply-adds on every set, of every way to enlarge."""
    precision = part.settings["precision"]
    for name in dict.fromkeys([*PLAIN, *(name for one in wanted for name in one.models)]):
        upscaler = PLAIN[name]() if name in PLAIN else load_as(LoadedUpscaler, name, precision)
        mixture = isinstance(upscaler, LoadedUpscaler) and upscaler.takes_budget
        for one in wanted:
            if name not in (*PLAIN, *one.models):
                continue
            for scale in one.scales:
                whole = scale == round(scale)
                if name in SLOW and not whole:
                    continue
                for budget in one.budgets if mixture and whole else [None]:
                    shown = f"{name}{'' if budget is None else f' budget {budget:g}'} x{scale:g}"
                    labels = {"model": name, "mixture": mixture, "budget": budget, "scale": scale}
                    labels |= {"set": one.data.name}
                    make = partial(_quality, upscaler, one.data, scale, budget)
                    part.row(f"{one.data.name} {shown}", make, labels)
    part.finish()


def _quality(
    upscaler: Upscaler, data: SuperResolutionSet, scale: float, budget: float | None
) -> Row:
    """The score, and the multiply-adds per pixel of output over the whole set."""
    score = evaluate_upscaling(upscaler, data, [scale], "y-shave", budget)[0]
    adds = pixels = 0.0
    for index in range(len(data)):
        small, large = ((p.shape[1], p.shape[2]) for p in data.pair(index, scale))
        pixels += math.prod(large)
        if isinstance(upscaler, LoadedUpscaler):
            # With the shares of the whole set the sum is exact: it is linear in the pixels.
            adds += upscaler.model.multiply_adds(small, large, score.shares)["total"]
        else:
            adds += plain_multiply_adds(small, large, 4 if upscaler is _BICUBIC else 6)
    whole = data.whole if isinstance(data, FirstPictures) else data
    return score.to_dict() | {"multiply_adds_per_pixel": adds / pixels, "of": len(whole)}


def plain_multiply_adds(lr_size: tuple[int, int], size: tuple[int, int], taps: int) -> float:
    """Some taps a direction in three channels, rows first.

    >>> plain_multiply_adds((1, 1), (2, 2), taps=4)  # 3 * 4 * (1 * 2 + 2 * 2)
    72.0
    """
    return 3.0 * taps * (lr_size[0] * size[1] + size[0] * size[1])


class Lanczos:
    """Pillow's Lanczos kernel of three lobes, in floating point."""

    def upscale(
        self, image: Tensor, *, size: tuple[int, int], budget: float | None = None
    ) -> Tensor:
        """Enlarge (3, H, W) in [0, 1] to (width, height)."""
        kernel = Image.Resampling.LANCZOS
        channels = [Image.fromarray(channel).resize(size, kernel) for channel in image.numpy()]
        return torch.from_numpy(np.stack([np.asarray(c) for c in channels])).clamp(0, 1)


_BICUBIC = bicubic_upscaler()
SLOW = ("liif-edsr", "moeisr-liif-edsr")
PLAIN: dict[str, Callable[[], Upscaler]] = {"bicubic": lambda: _BICUBIC, "Lanczos": Lanczos}


def measure_photos(
    part: Part,
    folder: Path,
    scales: list[float],
    cases: list[str],
    models: list[str],
    limit: int | None,
) -> None:
    """Gain over bicubic on photos as they come: compressed, soft, or neither.

    Args:
        part: where the rows go.
        folder: of photos.
        scales: factors by which they are reduced and enlarged.
        cases: as in `photo_pair`.
        models: by name, or of `PLAIN`.
        limit: of the photos.
    """
    paths, precision = list_images(folder)[:limit], part.settings["precision"]
    for name in models:
        upscaler = PLAIN[name]() if name in PLAIN else load_as(LoadedUpscaler, name, precision)
        for scale in scales:
            for case in cases:
                make = partial(_photo, upscaler, paths, scale, case)
                labels = {"model": name, "scale": scale, "case": case}
                part.pictures(f"{name} x{scale:g} {case}", make, labels, len(paths))
    part.finish()


def _photo(upscaler: Upscaler, paths: list[Path], scale: float, case: str, number: int) -> Row:
    """dB and SSIM of luma, the result rounded to 8 bit, and the dB of bicubic."""
    small, photo = photo_pair(paths[number], scale, case)
    size = (photo.shape[2], photo.shape[1])
    with torch.inference_mode():
        result, usual = (quantize(way.upscale(small, size=size)) for way in (upscaler, _BICUBIC))
    return {
        "psnr": metrics.psnr(result, photo, "y-shave", scale),
        "before": metrics.psnr(usual, photo, "y-shave", scale),
        "ssim": metrics.ssim(result, photo, "y-shave", scale),
    }


def read_tensor(path: Path) -> Tensor:
    """A photo as (3, H, W) float32 in [0, 1], without alpha; gray in three equal channels."""
    pixels = torch.tensor(to_float(read_image(path).pixels))  # (H, W, C)
    colors = pixels[..., : 3 if pixels.shape[2] >= 3 else 1]
    return colors.permute(2, 0, 1).expand(3, -1, -1).contiguous()  # (3, H, W)
