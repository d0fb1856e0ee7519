"""What docs/results.md says in numbers: enlarging, denoising and experts by task, measured.

Every figure comes from `evaluate_upscaling`, `evaluate_restoration` and the models that `load`
gives. A measurement is saved as soon as it is made (`Part.row`) and not made again.
"""

import hashlib
import json
import math
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pixperts.data.benchmarks import SuperResolutionSet
from pixperts.errors import MissingExtraError
from pixperts.evaluation import metrics
from pixperts.evaluation.restoration import RestorationSet, evaluate_restoration
from pixperts.evaluation.upscaling import Upscaler, bicubic_upscaler, evaluate_upscaling
from pixperts.inference.restorer import Restorer
from pixperts.inference.upscaler import Upscaler as LoadedUpscaler
from pixperts.io.atomic import replacing
from pixperts.io.image import read_image
from pixperts.ops.pixels import to_float
from pixperts.ops.resize import bicubic, quantize
from pixperts.routing import Routing
from pixperts.weights.catalogue import list_models
from pixperts.weights.packaged import packaged_models

Row = dict[str, Any]

SEED = 0
SIGMAS = (15, 25, 50)
TASKS = (
    "noise25",
    "noise50",
    "rain",
    "haze",
    "snow",
    "blur",
    "low_light",
    "low_haze_rain",
    "clean",
)
TIMED = (960, 720)  # width and height of the enlargement that is timed; divisible by 2, 3 and 4
BICUBIC = "bicubic"
# The settings of scikit-image's example for the fast form with a known sigma.
PATCH, DISTANCE, STRENGTH = 5, 6, 0.6


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

    def finish(self) -> None:
        """Note that nothing is missing."""
        self._save(finished=True)

    def _save(self, *, finished: bool) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = {"settings": self.settings, "finished": finished, "rows": self.rows}
        with replacing(self.path) as temporary:
            temporary.write_text(json.dumps(content, indent=1))


def circumstances(models: list[str]) -> Row:
    """What every measurement depends on besides its data: threads, machine, weights."""
    digests = {
        name: hashlib.sha256(packaged_models()[name].read_bytes()).hexdigest()[:12]
        for name in models
    }
    return {"threads": torch.get_num_threads(), "machine": _machine(), "weights": digests}


def models_that(does: str) -> list[str]:
    """Packaged models that "enlarge" or "repair"."""
    return [entry.name for entry in list_models() if entry.trained and entry.does == does]


def _machine() -> str:
    """The processor's own name, where the system tells it."""
    try:
        text = Path("/proc/cpuinfo").read_text()
        name = next(line for line in text.splitlines() if line.startswith("model name"))
        name = name.partition(":")[2].strip()
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores, torch {torch.__version__}"


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


def measure_enlarging(
    part: Part,
    sets: list[SuperResolutionSet],
    auto_sets: list[SuperResolutionSet],
    scales: list[int],
    budgets: list[float | None],
    timed: Path,
    repeats: int,
) -> None:
    """Quality and multiply-adds on every set, seconds on one photo, of every way to enlarge.

    The pictures of `auto_sets` are enlarged without a budget only.
    """
    photo = read_tensor(timed)
    for name in (BICUBIC, *models_that("enlarge")):
        upscaler = (
            bicubic_upscaler() if name == BICUBIC else LoadedUpscaler.load(name, device="cpu")
        )
        mixture = isinstance(upscaler, LoadedUpscaler) and upscaler.takes_budget
        for budget in budgets if mixture else [None]:
            for scale in scales:
                shown = f"{name}{'' if budget is None else f' budget {budget:g}'} x{scale}"
                labels = {"model": name, "mixture": mixture, "budget": budget, "scale": scale}
                make = partial(_seconds, upscaler, photo, scale, budget, repeats)
                part.row(f"seconds {shown}", make, labels | {"kind": "seconds"})
                for data in [*sets, *(auto_sets if budget is None else [])]:
                    make = partial(_quality, upscaler, data, scale, budget)
                    more = {"kind": "quality", "set": data.name}
                    part.row(f"{data.name} {shown}", make, labels | more)
    part.finish()


def _quality(upscaler: Upscaler, data: SuperResolutionSet, scale: int, budget: float | None) -> Row:
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
            adds += bicubic_multiply_adds(small, large)
    return score.to_dict() | {"multiply_adds_per_pixel": adds / pixels}


def _seconds(
    upscaler: Upscaler, photo: Tensor, scale: int, budget: float | None, repeats: int
) -> Row:
    """The fastest of some enlargements of the photo, reduced so that the result is `TIMED`."""
    width, height = TIMED
    lr = quantize(bicubic(photo, (height // scale, width // scale)))
    clocks = []
    for _ in range(repeats):
        clock = Clock()
        with torch.inference_mode(), clock:
            upscaler.upscale(lr, size=TIMED, budget=budget)
        clocks.append(clock)
    return min(clocks, key=lambda clock: clock.processor).row(width * height)


class Clock:
    """Processor time of all threads, which other programs do not stretch, and time on the clock."""

    def __init__(self) -> None:
        self.processor = self.wall = 0.0

    def __enter__(self) -> None:
        self._began = time.process_time(), time.perf_counter()

    def __exit__(self, *error: object) -> None:
        self.processor += time.process_time() - self._began[0]
        self.wall += time.perf_counter() - self._began[1]

    def row(self, pixels: int) -> Row:
        """Both, per megapixel."""
        return {
            "seconds_per_megapixel": self.processor / pixels * 1e6,
            "wall_seconds_per_megapixel": self.wall / pixels * 1e6,
        }


class Clocked(Restorer):
    """A restorer that is timed whenever it repairs."""

    clock: Clock

    def restore_with_routing(self, *args: Any, **kwargs: Any) -> tuple[Any, tuple[Routing, ...]]:
        """As `Restorer` does."""
        with self.clock:
            return super().restore_with_routing(*args, **kwargs)


def bicubic_multiply_adds(lr_size: tuple[int, int], size: tuple[int, int]) -> float:
    """Four taps a direction in three channels, rows first.

    >>> bicubic_multiply_adds((1, 1), (2, 2))  # 3 * 4 * (1 * 2 + 2 * 2)
    72.0
    """
    return 12.0 * (lr_size[0] * size[1] + size[0] * size[1])


def measure_denoising(part: Part, folder: Path, limit: int | None) -> None:
    """Models that repair, BM3D and non-local means on the same noisy pictures."""
    repairers = [(name, Restorer.load(name, device="cpu")) for name in models_that("repair")]
    for sigma in SIGMAS:
        data = RestorationSet.synthetic(folder, f"noise{sigma}", seed=SEED, limit=limit)
        for name, restorer in repairers:
            labels = {"method": name, "sigma": sigma}
            part.row(f"{name} sigma {sigma}", partial(_denoised, restorer, data), labels)
        for name, method in CLASSICAL.items():
            labels = {"method": name, "sigma": sigma}
            part.row(f"{name} sigma {sigma}", partial(_classical, method, data, sigma), labels)
    part.finish()


def _denoised(restorer: Restorer, data: RestorationSet) -> Row:
    clocked = Clocked(restorer.model, restorer.card, device="cpu")
    clocked.clock = Clock()
    score = evaluate_restoration(clocked, [data], "rgb")[0]
    pixels = sum(pair()[1][0].numel() for pair in data.pairs)
    return score.to_dict() | clocked.clock.row(pixels)


def _classical(method: Callable[[Tensor, float], Tensor], data: RestorationSet, sigma: int) -> Row:
    marks, pixels, clock = [], 0, Clock()
    try:
        for number, pair in enumerate(data.pairs):
            noisy, clean = pair()
            if number == 0:
                method(noisy[:, :64, :64], sigma / 255)  # imports are not timed
            with clock:
                restored = method(noisy, sigma / 255)
            pixels += clean[0].numel()
            marks.append(metrics.psnr(restored, clean, "rgb"))
    except (ImportError, OSError) as error:
        print(f"left out: {error}")
        return {"reason": str(error)}
    score = {"psnr": sum(marks) / len(marks), "images": len(marks)}
    return score | clock.row(pixels)


def bm3d(noisy: Tensor, sigma: float) -> Tensor:
    """Color BM3D with its own default profile, given the standard deviation; (3, H, W).

    Raises:
        MissingExtraError: bm3d is not installed.
    """
    try:
        from bm3d import BM3DProfile, bm3d_rgb
    except ModuleNotFoundError as error:
        raise MissingExtraError("BM3D", "compare") from error
    profile = BM3DProfile()
    profile.num_threads = torch.get_num_threads()
    result = bm3d_rgb(noisy.permute(1, 2, 0).double().numpy(), sigma, profile)  # (H, W, 3)
    return torch.from_numpy(result).permute(2, 0, 1)


def non_local_means(noisy: Tensor, sigma: float) -> Tensor:
    """scikit-image's fast form, given the standard deviation; (3, H, W).

    Raises:
        MissingExtraError: scikit-image is not installed.
    """
    try:
        from skimage.restoration import denoise_nl_means
    except ModuleNotFoundError as error:
        raise MissingExtraError("Non-local means", "compare") from error
    result = denoise_nl_means(
        noisy.permute(1, 2, 0).double().numpy(),  # (H, W, 3)
        patch_size=PATCH,
        patch_distance=DISTANCE,
        h=STRENGTH * sigma,
        sigma=sigma,
        fast_mode=True,
        channel_axis=-1,
    )
    return torch.from_numpy(result).permute(2, 0, 1)


CLASSICAL = {"BM3D": bm3d, "non-local means": non_local_means}


def measure_experts(part: Part, model: str, folder: Path, photos: int) -> None:
    """Which experts a model that repairs gives to which synthetic degradation, and how it does."""
    restorer = Restorer.load(model, device="cpu")
    for task in TASKS:
        part.row(task, partial(_experts, restorer, folder, task, photos), {"task": task})
    part.finish()


def _experts(restorer: Restorer, folder: Path, task: str, photos: int) -> Row:
    data = RestorationSet.synthetic(folder, task, seed=SEED, limit=photos)
    return evaluate_restoration(restorer, [data], "rgb")[0].to_dict()


def read_tensor(path: Path) -> Tensor:
    """A photo as (3, H, W) float32 in [0, 1], without alpha; gray in three equal channels."""
    pixels = torch.tensor(to_float(read_image(path).pixels))  # (H, W, C)
    colors = pixels[..., : 3 if pixels.shape[2] >= 3 else 1]
    return colors.permute(2, 0, 1).expand(3, -1, -1).contiguous()  # (3, H, W)
