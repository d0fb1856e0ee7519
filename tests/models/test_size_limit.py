"""The size of a network is known, and bounded, before it is built."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save as to_bytes

from pixperts.errors import ModelError
from pixperts.models.presets import PRESETS, build, create_model
from pixperts.models.size_limit import MOST_LAYERS, MOST_WEIGHTS, extent
from pixperts.weights import store

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in ("moeisr-tiny", "moeisr-lte-edsr", "moce-ir-tiny", "moce-ir-s")),
    ("moce-ir-tiny", {"expert_depth": 3, "expansion": 3.5, "min_rank": 8}),
    ("moce-ir-tiny", {"windows": (4, 8), "rank_divisors": (2, 1), "decoder_blocks": (2, 3, 1)}),
    ("moeisr-liif-rdn", {"encoder_options": {"blocks": 2, "convolutions": 3, "growth": 24}}),
    ("moeisr-lte-swinir", {"encoder_options": {"groups": 1, "layers": 2, "width": 60}}),
    ("liif-edsr", {"depths": (5,), "widths": (32,), "width": 48}),
]


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_the_weights_are_those_of_the_network(name: str, options: dict[str, Any]) -> None:
    with torch.device("meta"):
        model = create_model(name, **options)
    # All but vectors, and but depthwise convolutions, whose second dimension is 1.
    weights = sum(p.numel() for p in model.parameters() if p.ndim > 1 and p.shape[1] not in (1, 2))
    counted = extent(model.config).weights
    assert abs(counted - weights) < 0.01 * weights


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_preset_is_far_below_the_limit(name: str) -> None:
    weights, layers = extent(PRESETS[name].config)
    assert 0 < weights < MOST_WEIGHTS / 5
    assert 0 < layers < MOST_LAYERS / 5


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
def test_products_of_sizes_are_bounded(tmp_path: Path, family: str, config: Any) -> None:
    card = {"format": 1, "name": "a", "config": config, "family": family}
    path = tmp_path / "a.safetensors"
    path.write_bytes(to_bytes({"w": torch.zeros(1)}, metadata={"pixperts": json.dumps(card)}))
    for refused in (lambda: store.load(path), lambda: build(config, family)):
        begin = time.process_time()
        with pytest.raises(ModelError, match=r"million weights in .* layers, over the limit"):
            refused()
        assert time.process_time() - begin < 0.5
