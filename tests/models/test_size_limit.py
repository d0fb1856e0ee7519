"""The size of a network is known, and bounded, before it is built."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors.torch import save as to_bytes
from torch import nn

from pixperts.errors import ModelError
from pixperts.models.presets import PRESETS, build, outline
from pixperts.models.size_limit import MOST_MODULES, MOST_WEIGHTS, bounded_on_meta
from pixperts.weights import store


@pytest.mark.parametrize("name", list(PRESETS))
@pytest.mark.slow
def test_every_preset_is_far_below_the_limit(name: str) -> None:
    preset = PRESETS[name]
    model = outline(asdict(cast(Any, preset.config)), preset.family)
    assert 0 < sum(p.numel() for p in model.parameters()) < MOST_WEIGHTS / 5
    assert 0 < len(list(model.modules())) < MOST_MODULES / 3
    assert all(tensor.is_meta for tensor in model.parameters())


def test_other_threads_build_what_they_like() -> None:
    """The limit counts what is built inside of it, and by its own thread only."""
    large = nn.Linear(10, 10)
    with ThreadPoolExecutor(1) as pool, bounded_on_meta():
        for _ in range(MOST_MODULES + 1):
            pool.submit(large.register_module, "again", None).result()
        nn.Linear(10, 10)
    for _ in range(MOST_MODULES + 1):
        large.register_module("again", None)


MANY = [64] * 64
ABSURD: list[tuple[str, dict[str, Any]]] = [
    ("moce-ir", {"dim": 1024}),
    ("moce-ir", {"dim": 64, "windows": MANY, "rank_divisors": [1] * 64, "expert_depth": 16}),
    ("moce-ir", {"dim": 8, "windows": MANY, "rank_divisors": [8] * 64, "expert_depth": 16}),
    ("moce-ir", {"dim": 256, "encoder_blocks": [64] * 3, "latent_blocks": 64}),
    ("moce-ir", {"dim": 128, "expansion": 16.0}),
    ("moeisr", {"encoder_options": {"channels": 4096, "blocks": 256}}),
    ("moeisr", {"encoder": "rdn", "encoder_options": {"blocks": 256, "convolutions": 64}}),
    ("moeisr", {"encoder": "rdn", "encoder_options": {"growth": 4096}}),
    ("moeisr", {"encoder": "swinir", "encoder_options": {"groups": 64, "layers": 64}}),
    ("moeisr", {"encoder": "swinir", "encoder_options": {"width": 4096, "heads": 4096}}),
    ("moeisr", {"depths": MANY, "widths": [4096] * 64}),
    ("moeisr", {"depths": [0, 1], "widths": [8, 8], "mapper_layers": 64, "mapper_width": 4096}),
    ("moeisr", {"depths": [0, 1], "widths": [8, 8], "neck": 64,
                "encoder_options": {"channels": 2048, "blocks": 1}}),
]  # fmt: skip


@pytest.mark.parametrize(("family", "config"), ABSURD)
@pytest.mark.slow
def test_products_of_sizes_are_bounded(tmp_path: Path, family: str, config: Any) -> None:
    card = {"format": 1, "name": "a", "config": config, "family": family}
    path = tmp_path / "a.safetensors"
    path.write_bytes(to_bytes({"w": torch.zeros(1)}, metadata={"pixperts": json.dumps(card)}))
    for refused in (lambda: store.load(path), lambda: build(config, family)):
        begin = time.process_time()
        with pytest.raises(ModelError, match="the limit of this program: use a smaller model"):
            refused()
        assert time.process_time() - begin < 5
