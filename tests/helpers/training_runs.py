"""Short runs of all families on synthetic photos, for the tests of the engine."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pixperts.data import patch_cache, patch_writing
from pixperts.data.photos import load_photos
from pixperts.io.image import write_image
from pixperts.training.config import TrainConfig
from pixperts.weights import store

RUNS: dict[str, dict[str, Any]] = {
    "enlarging": {
        "model": "moeisr-tiny",
        "model_options": {
            "encoder_options": {"channels": 8, "blocks": 1},
            "width": 8,
            "depths": [0, 1],
            "widths": [8, 8],
            "mapper_width": 4,
            "mapper_layers": 2,
        },
        "patch": 8,
        "queries": 32,
        "validation_scales": [2],
        "expert_weight": 0.1,
        "cost_weight": 0.01,
        "routing_weight": 0.1,
        "distillation_weight": 0.01,
        "prediction_weight": 0.01,
    },
    "light": {
        "model": "moeisr-light",
        "model_options": {
            "channels": 8,
            "blocks": 1,
            "shared_width": 8,
            "depths": [0, 1],
            "widths": [0, 8],
            "mapper_width": 4,
        },
        "patch": 16,
        "precision": "float32",
        "validation_scales": [2],
        "cost_weight": 0.01,
    },
    # Three experts and a batch of four: with two processes, some expert gets none on each.
    "repair": {
        "model": "moce-ir-tiny",
        "model_options": {
            "dim": 8,
            "encoder_blocks": [1, 0, 1],
            "latent_blocks": 1,
            "decoder_blocks": [1, 1, 1],
            "refinement_blocks": 0,
            "heads": [1, 1, 2, 2],
            "windows": [4, 8, 16],
            "rank_divisors": [4, 2, 1],
        },
        "patch": 16,
        "tasks": {"noise50": 1, "low_light": 1, "blur": 1},
        "validation_tasks": ["noise25"],
        "validation_images": 1,
    },
}
RUNS["scenes"] = {
    "model": "moce-ir-light",
    "model_options": {
        "channels": [8, 8, 8],
        "expert_widths": [8, 8],
        "bottleneck": 4,
        "scout_channels": 4,
        "embedding": 8,
        "latent_mixtures": 1,
        "decoder_mixtures": 1,
        "decoder_blocks": 1,
        "tone_width": 4,
    },
    "frozen": ["tone"],
    "patch": 32,
    "scene": 64,
    "reduction": 2,
    "precision": "float32",
    "tasks": {"mixture": 1, "noise50": 1, "rain": 1, "drawn": 1},
    "validation_tasks": ["noise25"],
    "validation_images": 1,
    "fourier_weight": 0.01,
}
RUNS["one"] = {
    "model": "moce-isr-light",
    "model_options": {
        **RUNS["scenes"]["model_options"],
        "large_channels": 8,
        "large_blocks": 2,
        "depth_width": 4,
    },
    "patch": 64,
    "largest": 2,
    "dark": 0.5,
    "precision": "float32",
    "tasks": {"mixture": 1, "clean": 1, "jpeg": 1, "drawn": 1},
    "validation_tasks": ["clean"],
    "validation_images": 1,
    "prediction_weight": 0.5,
}
# SwinIR leaves out branches at random while it is trained.
SWINIR: dict[str, Any] = {
    "model": "moeisr-liif-swinir",
    "model_options": {
        "encoder_options": {
            "channels": 8, "width": 8, "groups": 1, "layers": 2, "heads": 2, "window": 4,
            "drop_path": 0.5,
        },
        "width": 8, "widths": [8, 8], "depths": [0, 1], "neighbors": [4, 4], "neck": 0,
    },
}  # fmt: skip
COMMON: dict[str, Any] = {
    "batch": 4,
    "max_steps": 6,
    "warmup_steps": 2,
    "learning_rate": 1e-3,
    "ema": 0.5,
    "check_every": 3,
}

families = pytest.mark.parametrize("family", list(RUNS))
# For tests that start processes, which takes 15 seconds of a core: the default's family.
kinds = pytest.mark.parametrize("family", ["scenes"])


def make_photos(folder: Path) -> Path:
    """Three photos of waves, 128 pixels a side."""
    y, x = np.mgrid[:128, :128]
    for number in range(3):
        waves = [np.sin(x / (3 + number + c) + y / (5 + c)) for c in range(3)]
        write_image(folder / f"{number}.png", (127 + 100 * np.stack(waves, -1)).astype(np.uint8))
    return folder


def make_cache(photos: Path) -> Path:
    """A cache of one chunk of each kind beside the photos, LR patches of 16 pixels."""
    folder = photos.with_name(f"{photos.name}-cache")
    if not folder.exists():
        with pytest.MonkeyPatch.context() as patch:
            for module in (patch_cache, patch_writing):
                patch.setattr(module, "PATCHES", 4)
                patch.setattr(module, "SIDE", 16)
            maker = patch_writing.ChunkMaker(load_photos([photos]), _smooth)
            for number in range(len(patch_cache.CYCLE)):
                maker.write(folder, number)
    return folder


def _smooth(lr: torch.Tensor, side: int) -> torch.Tensor:
    return torch.nn.functional.interpolate(lr, size=(side, side), mode="bilinear")


def values_of(family: str, photos: Path, **changes: Any) -> dict[str, Any]:
    """A run as plain data."""
    source: dict[str, Any] = {"photos": [str(photos)]}
    if family == "light":
        source = {"cache": str(make_cache(photos))}
    return RUNS[family] | COMMON | source | changes


def config_of(family: str, photos: Path, **changes: Any) -> TrainConfig:
    """A run as its configuration."""
    return TrainConfig.from_dict(values_of(family, photos, **changes), family)


def train(config: TrainConfig, folder: Path, **options: Any) -> Path:
    from pixperts.training.run import train as run

    return run(config, folder, **options)


def begun(values: dict[str, Any], folder: Path) -> "subprocess.Popen[str]":
    """A run in a process group of its own, from the moment that it has a checkpoint."""
    import yaml

    path = folder.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    child = subprocess.Popen(
        [sys.executable, "-m", "pixperts", "train", str(path), "-o", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    until = time.monotonic() + 300
    while not (folder / "last.ckpt").exists():
        assert child.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    return child


def step_of(path: Path) -> int:
    return int(torch.load(path, weights_only=True)["global_step"])


def weights_in(folder: Path) -> dict[str, torch.Tensor]:
    """The weights that a run wrote."""
    return store.load(folder / "last.safetensors")[0].state_dict()


def difference(first: Path, second: Path) -> float:
    """The largest between the weights of two runs."""
    a, b = weights_in(first), weights_in(second)
    assert a.keys() == b.keys()
    return max(float((a[key] - b[key]).abs().max()) for key in a)


SAME = 1e-3
"""Bound of `apart` for runs that differ in the order of their sums only.

Float32 rounds a gradient by 1e-6 to 1e-5 of itself on any processor. Adam divides by the size
of the gradient and so moves a weight whose gradient is almost zero by more than that, which is why
no bound holds for every single weight. A sample that is lost moves the end by a quarter of the way,
a learning rate that is one percent higher by one percent.
"""


def apart(first: Path, second: Path, config: TrainConfig) -> float:
    """Distance between the ends of two runs, as a share of the way from the start to the first."""
    import lightning

    from pixperts.training.run import module_of

    lightning.seed_everything(config.seed, verbose=False)
    start = module_of(config).model.state_dict()
    a, b = weights_in(first), weights_in(second)
    assert start.keys() == a.keys() == b.keys()
    way, between = (
        torch.cat([(x[key].double() - y[key].double()).flatten() for key in a]).norm()
        for x, y in ((a, start), (a, b))
    )
    return float(between / way)
