import pytest
import torch
from torch import Tensor

from pixperts.errors import UsageError
from pixperts.ops.transparency import fill_transparent


def scene(height: int = 60, width: int = 70, seed: int = 0) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    rgb = torch.rand(2, 3, height, width, generator=draw)
    alpha = torch.rand(2, 1, height, width, generator=draw)
    alpha[:, :, 10:50, 20:65] = 0
    return rgb, torch.where(alpha < 0.3, torch.zeros(()), alpha)


def test_visible_pixels_are_untouched_and_the_others_do_not_matter() -> None:
    rgb, alpha = scene()
    filled = fill_transparent(rgb, alpha)
    seen = (alpha > 0).expand_as(rgb)
    assert torch.equal(filled[seen], rgb[seen])
    assert not torch.equal(filled[~seen], rgb[~seen])
    hidden = torch.where(seen, rgb, torch.full((), float("nan")))
    assert torch.equal(fill_transparent(hidden, alpha), filled)


def test_the_fill_lies_within_the_visible_colours() -> None:
    rgb, alpha = scene()
    filled = fill_transparent(rgb, alpha)
    assert filled.min() >= rgb.min() - 1e-6
    assert filled.max() <= rgb.max() + 1e-6
    flat = torch.full_like(rgb, 0.2)
    near = fill_transparent(flat, alpha, reach=64)
    assert torch.allclose(near, flat, atol=1e-6)


def test_the_nearest_colour_decides() -> None:
    rgb = torch.zeros(1, 1, 1, 12)
    rgb[..., 0], rgb[..., -1] = 0.2, 0.8
    alpha = torch.zeros(1, 1, 1, 12)
    alpha[..., 0] = alpha[..., -1] = 1
    row = fill_transparent(rgb, alpha)[0, 0, 0]
    assert torch.all(row.diff() > 0)
    assert row[1] < 0.23
    assert row[-2] > 0.77
    # Two at equal distance count by their alpha: (0.2 * 1 + 0.8 * 0.5) / 1.5.
    pair = torch.tensor([[[[0.2, 9.0, 0.8]]]])
    assert fill_transparent(pair, torch.tensor([[[[1.0, 0.0, 0.5]]]]))[..., 1].item() == (
        pytest.approx(0.4)
    )


@pytest.mark.parametrize("reach", [1, 5, 16])
def test_far_from_everything_is_grey(reach: int) -> None:
    rgb = torch.full((1, 3, 50, 50), 0.1)
    alpha = torch.zeros(1, 1, 50, 50)
    alpha[..., 25, 25] = 1e-3
    filled = fill_transparent(rgb, alpha, reach)
    rows, columns = torch.meshgrid(torch.arange(50), torch.arange(50), indexing="ij")
    near = torch.maximum((rows - 25).abs(), (columns - 25).abs()) <= reach
    assert torch.allclose(filled[0, :, near], torch.full((), 0.1))
    assert torch.all(filled[0, :, ~near] == 0.5)


@pytest.mark.parametrize("reach", [3, 16])
def test_tiles_agree(reach: int) -> None:
    rgb, alpha = scene()
    whole = fill_transparent(rgb, alpha, reach)
    top, left, bottom, right = 15, 22, 40, 45
    window = (
        slice(None),
        slice(None),
        slice(max(0, top - reach), bottom + reach),
        slice(max(0, left - reach), right + reach),
    )
    part = fill_transparent(rgb[window], alpha[window], reach)
    y, x = top - max(0, top - reach), left - max(0, left - reach)
    inner = part[..., y : y + bottom - top, x : x + right - left]
    assert torch.allclose(inner, whole[..., top:bottom, left:right], atol=1e-6)


def test_nothing_beyond_the_reach_matters() -> None:
    rgb, alpha = scene()
    alpha[..., 30, 40] = 0
    changed, thinner = rgb.clone(), alpha.clone()
    far = torch.ones(60, 70, dtype=torch.bool)
    far[30 - 16 : 30 + 17, 40 - 16 : 40 + 17] = False
    changed[..., far] = 1 - changed[..., far]
    thinner[..., far] = 1
    before = fill_transparent(rgb, alpha)[..., 30, 40]
    assert torch.allclose(fill_transparent(changed, thinner)[..., 30, 40], before, atol=1e-7)


def test_all_or_nothing_visible() -> None:
    rgb, alpha = scene()
    assert fill_transparent(rgb, torch.ones_like(alpha)) is rgb
    assert torch.all(fill_transparent(rgb, torch.zeros_like(alpha)) == 0.5)


def test_what_is_refused() -> None:
    rgb, alpha = scene()
    with pytest.raises(UsageError, match="belong together"):
        fill_transparent(rgb, alpha[:, :, :-1])
    with pytest.raises(UsageError, match="reach"):
        fill_transparent(rgb, alpha, 0)
    with pytest.raises(UsageError, match="floats"):
        fill_transparent(rgb, alpha.long())
