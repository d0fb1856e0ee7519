"""Check all the data that a training configuration names, before the training: `check_config`."""

from collections.abc import Sequence
from pathlib import Path

from pixperts.data.benchmarks import SuperResolutionSet
from pixperts.data.checking import DataReport
from pixperts.data.patch_cache import PATCHES, SIDE, CachedPatches, list_chunks
from pixperts.errors import PixpertsError
from pixperts.training.config import (
    LightConfig,
    RestorationConfig,
    TrainConfig,
    UpscalingConfig,
)
from pixperts.training.light_restoration_config import LightRestorationConfig

SMALLEST_PHOTO = 128  # pixels of the shorter side; `photos.load_photos` leaves out smaller ones


def check_config(report: DataReport, config: TrainConfig) -> None:
    """Read everything that a training would read, and report good pictures and faults.

    Args:
        report: receives the results. Faults of files are added to it, not raised.
        config: of the training.
    """
    photos = [Path(folder) for folder in config.photos]
    if isinstance(config, LightConfig) and config.cache:
        _check_cache(report, config)
    elif not isinstance(config, RestorationConfig) or config.tasks:
        if not photos:
            report.add_fault("photos", "the configuration names no folder of training photos")
        side = config.scene if isinstance(config, LightRestorationConfig) else config.patch
        report.photos(photos, config.exclude, max(SMALLEST_PHOTO, side))
    if isinstance(config, RestorationConfig):
        if config.published is not None:
            roots = {name: Path(root) for name, root in config.layouts.items()}
            report.task_set(config.published, roots, config.patch)
        elif config.input is not None:
            target = None if config.target is None else Path(config.target)
            report.folders(Path(config.input), target, config.patch)
    if config.validation is None:
        return
    validation = Path(config.validation)
    if isinstance(config, UpscalingConfig | LightConfig):
        _check_benchmark(report, validation, config.validation_scales)
    else:
        report.photos([validation], min_side=SMALLEST_PHOTO, kind="validation")


def _check_cache(report: DataReport, config: LightConfig) -> None:
    try:
        CachedPatches(Path(config.cache), batch=config.batch, side=config.patch)
    except PixpertsError as error:
        report.add_fault(config.cache, error)
        return
    for _ in range(PATCHES * len(list_chunks(Path(config.cache)))):
        report.add_good("cached LR patches", (SIDE, SIDE))


def _check_benchmark(report: DataReport, folder: Path, scales: Sequence[int]) -> None:
    try:
        pictures = SuperResolutionSet.open(folder)
        for scale in scales:
            pictures.check(scale)
    except PixpertsError as error:
        report.add_fault(folder, error)
        return
    for number, file in enumerate(pictures.pictures):
        try:
            for scale in scales:
                hr = pictures.pair(number, scale)[1]
            report.add_good("validation", (hr.shape[2], hr.shape[1]))
        except PixpertsError as error:
            report.add_fault(file, error)
