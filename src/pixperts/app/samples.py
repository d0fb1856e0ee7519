"""Examples with one click: a bundled photo with a fault that is made on the fly."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pixperts.app.form import ENLARGE, REPAIR
from pixperts.degradations.tasks import degrade
from pixperts.io.image import read_image, write_image
from pixperts.ops.pixels import from_float, to_float
from pixperts.ops.resize import bicubic

_SEED = 4
_SHRUNK = 2


@dataclass(frozen=True)
class Sample:
    """A photo, what is done to it, and the work that helps."""

    label: str
    photo: str
    task: str | None  # of `degradations`; None: made smaller
    work: str = REPAIR


SAMPLES = {
    "noise": Sample("Noise", "budgie", "noise25"),
    "jpeg": Sample("JPEG", "osprey", "jpeg"),
    "rain": Sample("Rain", "colosseum", "rain"),
    "haze": Sample("Haze", "colosseum", "haze"),
    "blur": Sample("Motion blur", "budgie", "blur"),
    "dark": Sample("Darkness", "budgie", "low_light"),
    "snow": Sample("Snow", "osprey", "snow"),
    "small": Sample("Too small", "circuits", None, ENLARGE),
}


def photo_file(name: str) -> Path:
    """A bundled photo: inside an installed package, else in the examples beside the sources."""
    inside = Path(__file__).parent / "assets" / f"{name}.jpg"
    return inside if inside.exists() else Path(__file__).parents[3] / "examples" / f"{name}.jpg"


def write_sample(key: str, folder: Path) -> Path:
    """The file of a sample, made when it is first wanted."""
    sample = SAMPLES[key]
    path = folder / f"{sample.photo}_{key}.png"
    if not path.exists():
        picture = torch.from_numpy(to_float(read_image(photo_file(sample.photo)).pixels))
        photo = picture.permute(2, 0, 1)  # (3, H, W)
        if sample.task is None:
            size = photo.shape[1] // _SHRUNK, photo.shape[2] // _SHRUNK
            photo = bicubic(photo, size).clamp(0, 1)
        else:
            photo = degrade(photo, sample.task, _SEED)
        write_image(path, from_float(photo.permute(1, 2, 0).numpy(), np.uint8))
    return path
