"""moeisr-light: routed equals masked, between whole factors, tiles equal the whole."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image

from pixperts.errors import ModelError, UsageError
from pixperts.models.moeisr_light.config import MoEISRLightConfig
from pixperts.models.moeisr_light.field import LinearField
from pixperts.models.moeisr_light.model import MoEISRLight
from pixperts.ops.windows import Part, Window

SMALL = MoEISRLightConfig(
    channels=16, blocks=2, shared_width=16, mapper_width=8, widths=(0, 8, 8, 16)
)
HEIGHT, WIDTH = 13, 17
SIZES = [(26, 34), (39, 68), (13, 17), (29, 47), (52, 68), (9, 40)]


@pytest.fixture
def model() -> Iterator[MoEISRLight]:
    """Random weights under which every expert is chosen somewhere."""
    torch.manual_seed(0)
    network = MoEISRLight(SMALL).eval()
    assert network.experts is not None
    assert network.mapper is not None
    for expert in network.experts.experts:
        torch.nn.init.normal_(expert.layers[-1].weight, std=0.2)  # type: ignore[arg-type]
    torch.nn.init.normal_(network.mapper.first.weight, std=1.0)
    torch.nn.init.normal_(network.mapper.second.weight, std=2.0)
    with torch.no_grad():
        yield network


def photo(batch: int = 2) -> torch.Tensor:
    return torch.rand(batch, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("size", SIZES)
def test_each_pixel_by_its_expert_equals_all_experts_and_a_mask(
    model: MoEISRLight, size: tuple[int, int]
) -> None:
    routed, masked = model(photo(), size), model(photo(), size, masked=True)
    assert (routed.routings[0].experts == masked.routings[0].experts).all()
    assert len(routed.routings[0].experts.unique()) > 1
    torch.testing.assert_close(routed.image, masked.image, rtol=0, atol=1e-5)


def test_the_field_is_the_sum_in_its_docstring() -> None:
    torch.manual_seed(0)
    field = LinearField(5, 3)
    torch.nn.init.uniform_(field.gains)
    features, lr = torch.rand(1, 5, 4, 6), torch.rand(1, 3, 4, 6)
    size, row, column = (12, 30), 7, 19
    with torch.no_grad():
        image = field(features, lr, size)
        c = field.coefficients(features).view(3, 3, 3, 4, 6)
        n, m = (row + 0.5) * 4 / 12, (column + 0.5) * 6 / 30
        y, x = math.floor(n), math.floor(m)
        tall, wide = field.gains[2], field.gains[3]  # of x3, and of x4, which x5 has, too
        for channel in range(3):
            total = float(lr[0, channel, y, x])
            for i in range(3):
                for j in range(3):
                    wave = math.cos(math.pi * i * (n - y)) * math.cos(math.pi * j * (m - x))
                    total += float(tall[i] * wide[j] * c[channel, i, j, y, x]) * wave
            assert image[0, channel, row, column] == pytest.approx(total, abs=1e-5)


@pytest.mark.parametrize("size", [(9, 10), (13, 17), (8, 20), (21, 15)])
def test_between_whole_factors_the_next_one_is_reduced(size: tuple[int, int]) -> None:
    """As Pillow reduces by Lanczos' kernel; 8x5."""
    torch.manual_seed(0)
    field = LinearField(5, 4)
    features, lr = torch.rand(1, 5, 8, 5), torch.rand(1, 3, 8, 5)
    with torch.no_grad():
        fine = field(features, lr, (8 * -(-size[0] // 8), 5 * -(-size[1] // 5)))
        found = field(features, lr, size)
    for channel in range(3):
        picture = Image.fromarray(fine[0, channel].numpy(), mode="F")
        known = picture.resize((size[1], size[0]), Image.Resampling.LANCZOS)
        assert np.abs(found[0, channel].numpy() - np.asarray(known)).max() < 1e-5


@pytest.mark.parametrize("size", SIZES)
def test_a_tile_with_its_context_equals_the_whole(
    model: MoEISRLight, size: tuple[int, int]
) -> None:
    lr, whole = photo(1), model(photo(1), size)
    reach = model.context
    for out in (
        Window(0, size[0] // 2, 0, size[1] // 3),
        Window(size[0] // 3, size[0], size[1] // 2, size[1] - 1),
    ):
        window = Window(
            max(0, out.top * HEIGHT // size[0] - reach),
            min(HEIGHT, -(-out.bottom * HEIGHT // size[0]) + reach),
            max(0, out.left * WIDTH // size[1] - reach),
            min(WIDTH, -(-out.right * WIDTH // size[1]) + reach),
        )
        tile = lr[:, :, window.top : window.bottom, window.left : window.right]
        part = model(tile, size, part=Part(out, window, (HEIGHT, WIDTH)))
        rows, columns = slice(out.top, out.bottom), slice(out.left, out.right)
        torch.testing.assert_close(part.image, whole.image[:, :, rows, columns], rtol=0, atol=1e-5)
        assert (part.routings[0].experts == whole.routings[0].experts[:, rows, columns]).all()


def test_a_budget_is_spent_on_each_picture_by_itself(model: MoEISRLight) -> None:
    lr = photo(1)
    flat = torch.full_like(lr, 0.5)
    alone = model(lr, (26, 34), budget=0.3)
    together = model(torch.cat([lr, flat]), (26, 34), budget=0.3)
    assert (together.routings[0].experts[:1] == alone.routings[0].experts).all()
    costs = [model(lr, (26, 34), budget=b).routings[0].mean_cost for b in (0, 0.25, 0.5, 1)]
    assert costs == pytest.approx([0, 0.25, 0.5, 1], abs=0.01)


def test_prices_may_be_of_each_picture(model: MoEISRLight) -> None:
    lr = photo()
    both = model(lr, (26, 34), price=[0.0, 1000.0]).routings[0].experts
    assert torch.equal(both[:1], model(lr[:1], (26, 34)).routings[0].experts)
    assert not both[1].any()  # all too expensive


def test_latents_are_what_refine_gives(model: MoEISRLight) -> None:
    features = model.encode(photo())
    latents = model.latents(features)
    for number in range(4):
        choice = torch.full((2, HEIGHT, WIDTH), number)
        torch.testing.assert_close(
            model.refine(features, choice), latents[number], rtol=0, atol=1e-5
        )


def test_multiply_adds_are_those_of_the_layers() -> None:
    model = MoEISRLight(MoEISRLightConfig())
    parts = model.multiply_adds((10, 20), (20, 40), (1.0, 0.0, 0.0, 0.0))
    assert parts["encoder"] == 200 * (27 * 48 + 16 * 9 * 48 * 48)
    assert parts["field"] == 200 * 12 * 9 * 48  # folded: three colors of four phases
    assert parts["experts"] == parts["shared"] == 0
    assert parts["total"] == sum(value for key, value in parts.items() if key != "total")
    assert model.multiply_adds((10, 20), (25, 50))["field"] > parts["field"]


def test_progress_rises_to_one(model: MoEISRLight) -> None:
    seen: list[float] = []
    model(photo(1), (20, 20), progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_every_parameter_learns() -> None:
    torch.manual_seed(0)
    model = MoEISRLight(SMALL)
    lr = photo()
    features = model.encode(lr)
    latents = model.latents(features)
    weights = model.logits(features, (20, 30), None).softmax(dim=1)
    mixed = (latents * weights.permute(1, 0, 2, 3)[:, :, None]).sum(dim=0)
    loss = model.field(mixed, lr, (20, 30)).square().mean()
    torch.autograd.backward(loss)
    still = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


@pytest.mark.parametrize(
    "options",
    [
        {"depths": (1, 2)},
        {"depths": (0, 3, 2), "widths": (0, 4, 4)},
        {"channels": 0},
        {"blocks": 1.5},
        {"widths": 5},
    ],
)
def test_bad_configurations_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ModelError):
        MoEISRLightConfig(**options)  # type: ignore[arg-type]


def test_bad_calls_are_refused(model: MoEISRLight) -> None:
    with pytest.raises(UsageError, match="must be"):
        model(torch.rand(3, 4, 4), (8, 8))
    with pytest.raises(UsageError, match="at least 1"):
        model(photo(), (0, 8))
    dense = MoEISRLight(MoEISRLightConfig(channels=8, blocks=1, depths=(0,), widths=(0,)))
    assert dense(photo(), (20, 20)).routings == ()
    with pytest.raises(UsageError, match="budget"):
        dense(photo(), (20, 20), budget=0.5)
