"""Pictures in tiles are those at once: exactly where they are enlarged, closely where repaired."""

import functools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pixperts.errors import ImageError, UsageError
from pixperts.models.moeisr.model import MoEISR
from pixperts.ops.resize import bicubic, bicubic_rows, resized_part
from pixperts.ops.windows import Part, Window
from pixperts.routing import Routing
from tests.helpers.moce_models import mini, pictures
from tests.helpers.tiny_models import picture, restorer, same, tiny, upscaler

ENCODERS: dict[str, dict[str, Any]] = {
    "edsr": {"channels": 8, "blocks": 1},
    "rdn": {"channels": 8, "blocks": 2, "convolutions": 2, "growth": 4},
    "swinir": {"channels": 8, "width": 8, "groups": 1, "layers": 2, "heads": 2, "window": 4},
}


@functools.cache
def enlarger(encoder: str = "edsr") -> MoEISR:
    return tiny(encoder=encoder, encoder_options=ENCODERS[encoder])


def enlarged(
    image: Tensor, tile: int | None, encoder: str = "edsr", **options: Any
) -> tuple[Tensor, Routing]:
    found = upscaler(enlarger(encoder), tile=tile).upscale_with_routing(image, **options)
    assert isinstance(found[1], Routing)
    return found[0], found[1]


# ---------------------------------------------------------------- enlarging


@pytest.mark.parametrize("budget", [None, 0.0, 1.0])
@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize(("tile", "scale"), [(32, 2.7), (37, 1.3), (48, 1.02)])
def test_enlarged_in_tiles_is_enlarged_at_once(
    encoder: str, tile: int, scale: float, budget: float | None
) -> None:
    image = picture(3, 70, 83)
    whole, experts = enlarged(image, None, encoder, scale=scale, budget=budget)
    tiles, routing = enlarged(image, tile, encoder, scale=scale, budget=budget)
    same(tiles, whole)
    assert torch.equal(routing.experts, experts.experts)


@pytest.mark.parametrize("shape", [(1, 75, 60), (2, 75, 60), (4, 75, 60), (2, 3, 75, 60)])
@pytest.mark.parametrize("scale", [0.3, 1.7])
def test_kinds_are_enlarged_in_tiles(shape: tuple[int, ...], scale: float) -> None:
    image = picture(*shape)
    if shape[0] in (2, 4) and len(shape) == 3:
        image[-1] = (image[-1] - 0.5).clamp_min(0)  # half of it is hidden
    tiled, once = (
        upscaler(enlarger(), tile=tile).upscale(image, scale=scale) for tile in (32, None)
    )
    same(tiled, once)


@pytest.mark.parametrize("budget", [0.25, 0.6])
def test_a_budget_is_kept_however_the_tiles_lie(budget: float) -> None:
    image = picture(2, 3, 80, 70)
    (a, first), (b, second) = (enlarged(image, t, scale=1.6, budget=budget) for t in (32, 45))
    assert torch.equal(first.experts, second.experts)
    same(a, b)
    costs = enlarger().costs
    limit = min(costs) + budget * (max(costs) - min(costs))
    assert first.mean_cost <= limit + 1e-9
    assert first.mean_cost == pytest.approx(limit, abs=0.01)
    at_once = enlarged(image, None, scale=1.6, budget=budget)[1]
    assert float((at_once.experts != first.experts).float().mean()) < 0.01


@pytest.mark.parametrize("tile", [None, 32])
@pytest.mark.slow
def test_a_picture_spends_its_own_budget_whatever_lies_beside_it(tile: int | None) -> None:
    busy = picture(3, 80, 70)
    batch = torch.stack([busy, torch.full_like(busy, 0.5), busy.flip(1)])
    together = enlarged(batch, tile, scale=1.6, budget=0.3)
    for number, image in enumerate(batch):
        alone = enlarged(image, tile, scale=1.6, budget=0.3)
        own = together[1].experts[number] == alone[1].experts[0]
        assert (~own).sum() <= 1  # what is left at the end of a budget, by rounding
        same(together[0][number][:, own], alone[0][:, own])


@pytest.mark.parametrize("scale", [0.2, 0.7, 1.0, 2.7])
def test_resized_parts_are_parts_of_bicubic(scale: float) -> None:
    image = picture(1, 2, 83, 91)
    size = round(83 * scale), round(91 * scale)
    whole = bicubic(image, size)
    out = Window(size[0] // 3, size[0] // 2, size[1] // 3, size[1])
    reach = int(2 * max(1, 1 / scale)) + 2
    low = [max(0, int(out[2 * a] / scale) - reach) for a in (0, 1)]
    source = Window(low[0], min(83, int(out.bottom / scale) + reach), low[1], 91)
    given = image[:, :, source.top : source.bottom, source.left :]
    found = resized_part(given, size, Part(out, source, (83, 91)))
    same(found, whole[:, :, out.top : out.bottom, out.left : out.right])
    rows = bicubic_rows(image, size)
    assert torch.equal(found, rows[:, :, out.top : out.bottom, out.left : out.right])
    if scale == 1.0:
        assert torch.equal(found, image[:, :, out.top : out.bottom, out.left :])


# ---------------------------------------------------------------- repairing

SIZE = 200, 176


@pytest.fixture(scope="module")
def scene() -> Tensor:
    return pictures(1, 3, *SIZE)[0]


@pytest.mark.slow
def test_repaired_in_tiles_is_close_to_repaired_at_once(scene: Tensor) -> None:
    model = mini()
    whole, routings = restorer(model).restore_with_routing(scene)
    tiles, found = restorer(model, tile=128).restore_with_routing(scene)
    changed = float((whole - scene).abs().mean())
    assert float((tiles - whole).abs().mean()) < 1e-4 * changed
    same(tiles, whole, 1e-4)
    for a, b in zip(found, routings, strict=True):
        assert torch.equal(a.experts, b.experts)


@pytest.mark.slow
def test_strength_and_alpha_are_exact_in_tiles(scene: Tensor) -> None:
    alpha = torch.rand(1, *SIZE)
    mine = restorer(mini(), tile=128)
    image = torch.cat([scene, alpha])[:, :136, :90]
    for part in (image, image[2:]):
        assert torch.equal(mine.restore(part, strength=0.0), part)
    full, half = mine.restore(image), mine.restore(image, strength=0.5)
    assert torch.equal(full[-1], image[-1])
    same(half, 0.5 * image + 0.5 * full, 1e-6)


def test_a_picture_smaller_than_a_tile_is_repaired_at_once() -> None:
    image = pictures(1, 3, 100, 70)[0]
    assert torch.equal(
        restorer(mini(), max_memory=1.0).restore(image), restorer(mini()).restore(image)
    )


# ---------------------------------------------------------------- precision


def overflowing(model: Any, monkeypatch: pytest.MonkeyPatch, name: str, always: bool) -> None:
    inner = getattr(model, name)

    def call(*arguments: Any, **options: Any) -> Any:
        found = inner(*arguments, **options)
        if always or torch.is_autocast_enabled("cpu"):
            bad = found if isinstance(found, Tensor) else found.image
            bad.fill_(torch.inf)
        return found

    monkeypatch.setattr(model, name, call)


@pytest.mark.slow
def test_half_precision_is_close() -> None:
    image = picture(3, 60, 50)
    exact = upscaler(enlarger()).upscale(image, scale=2, budget=1.0)
    half = upscaler(enlarger(), precision="bfloat16").upscale(image, scale=2, budget=1.0)
    assert 0 < float((half - exact).abs().max()) < 0.1
    scene = pictures(1, 3, 40, 48)[0]
    exact, half = (restorer(mini(), precision=p).restore(scene) for p in ("float32", "bfloat16"))
    assert 0 < float((half - exact).abs().mean()) < 0.05


@pytest.mark.parametrize("name", ["forward", "sample_logits"])
def test_what_leaves_the_range_is_computed_again(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    image, model = picture(3, 70, 60), tiny()
    budget = None if name == "forward" else 0.5
    expected = upscaler(model, tile=40).upscale(image, scale=1.5, budget=budget)
    overflowing(model, monkeypatch, name, always=False)
    with pytest.warns(UserWarning, match="mine left the range of bfloat16") as told:
        found = upscaler(model, tile=40, precision="bfloat16").upscale(
            image, scale=1.5, budget=budget
        )
    assert len(told) == 1
    if name == "forward":
        assert torch.equal(found, expected)


@pytest.mark.slow
def test_surveys_that_leave_the_range_are_counted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    scene, model = pictures(1, 3, 136, 100)[0], mini()
    inner = model.patch_embed.forward

    def forward(image: Tensor) -> Tensor:
        found = inner(image)
        return found * torch.inf if torch.is_autocast_enabled("cpu") else found

    expected = restorer(model, tile=128).restore(scene)
    monkeypatch.setattr(model.patch_embed, "forward", forward)
    with pytest.warns(UserWarning, match="left the range") as told:
        found = restorer(model, tile=128, precision="bfloat16").restore(scene)
    assert len(told) == 1
    assert torch.isfinite(found).all()
    same(found, expected, 0.02)


def test_what_is_not_finite_in_full_precision_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny()
    overflowing(model, monkeypatch, "forward", always=True)
    with pytest.warns(UserWarning, match="left"), pytest.raises(ImageError, match="not finite"):
        upscaler(model, precision="bfloat16").upscale(np.zeros((9, 9, 3), np.float32), scale=2)


@pytest.mark.parametrize(
    "options",
    [
        {"tile": 16},
        {"tile": 0},
        {"max_memory": 0},
        {"max_memory": float("nan")},
        {"precision": "float8"},
        {"precision": "float16"},
    ],
)
def test_wishes_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        upscaler(enlarger(), **options)
    with pytest.raises(UsageError):
        restorer(mini(), **options)
