import math
from typing import Any

import pytest
import torch

from pixperts.errors import UsageError
from pixperts.ops.color_match import KINDS, low_pass, match_low_frequencies, matched_bands
from pixperts.ops.resize import bicubic, bicubic_rows, rows_needed


def picture(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", KINDS)
def test_the_resized_source_comes_back_to_the_bit(kind: Any) -> None:
    source = picture(20, 30)
    for size in ((50, 75), (20, 30), (11, 13)):
        result = bicubic_rows(source, size)
        assert torch.equal(match_low_frequencies(result, source, kind), result)


def test_means_are_those_of_the_source() -> None:
    source, result = picture(20, 30), picture(40, 60, 1) * 0.3 + 0.5
    fixed = match_low_frequencies(result, source, "mean")
    wanted = bicubic(source, (40, 60)).mean(dim=(2, 3))
    assert torch.allclose(fixed.mean(dim=(2, 3)), wanted, atol=1e-6)
    shift = fixed - result
    assert torch.allclose(shift, shift[..., :1, :1].expand_as(shift), atol=1e-6)


def test_the_wavelet_fix_takes_colours_and_leaves_details() -> None:
    rows = torch.linspace(0, 1, 128)
    details = ((torch.arange(128) % 2) * 0.1 - 0.05).expand(1, 3, 128, 128)
    scene = rows[:, None].expand(1, 3, 128, 128) * 0.5
    tinted = scene * 0.8 + torch.tensor([0.2, 0.0, -0.1]).reshape(1, 3, 1, 1) + details
    fixed = match_low_frequencies(tinted, scene, "wavelet")
    inner = (fixed - scene - details)[..., 32:-32, 32:-32]
    assert inner.abs().max() < 1e-3
    assert (tinted - scene - details).abs().max() > 0.1
    # The low frequencies are those of the source.
    again = low_pass(fixed - scene)[..., 32:-32, 32:-32]
    assert again.abs().max() < 2e-3


def test_the_impulse_response() -> None:
    # A product of five cosines at frequency f: 1 at zero, 0 at half the sampling rate.
    row = torch.zeros(1, 1, 1, 201)
    row[..., 100] = 1
    response = low_pass(row)[0, 0, 0]
    assert response.sum().item() == pytest.approx(1)
    assert torch.equal(response, response.flip(0))
    assert torch.nonzero(response).flatten().tolist() == list(range(69, 132))
    assert response[69].item() == pytest.approx(0.25**5)
    assert response[::2].sum().item() == pytest.approx(0.5)


def test_nothing_beyond_the_reach_matters() -> None:
    far = 1 + 2 + 4 + 8 + 16
    source, result = picture(150, 150), picture(150, 150, 1)
    changed = result.clone()
    changed[..., : 75 - far, :] = 9
    changed[..., :, 75 + far + 1 :] = 9
    before = match_low_frequencies(result, source, "wavelet")[..., 75, 75]
    assert torch.equal(match_low_frequencies(changed, source, "wavelet")[..., 75, 75], before)
    changed[..., 75 - far, 75] = 99
    after = match_low_frequencies(changed, source, "wavelet")[..., 75, 75]
    assert not torch.equal(after, before)


@pytest.mark.parametrize("scale", [2.5, 0.5])
def test_the_reach_holds_for_the_source(scale: float) -> None:
    source = picture(100, 100)
    size = int(100 * scale)
    result = picture(size, size, 1)
    far = 31 + math.ceil(2 * max(scale, 1.0)) + 1  # the bicubic kernel looks two pixels beyond
    middle = size // 2
    before = match_low_frequencies(result, source, "wavelet")[..., middle, middle]
    changed = source.clone()
    centres = (torch.arange(100) + 0.5) * scale - 0.5
    changed[..., (centres - middle).abs() > far, :] = 9
    after = match_low_frequencies(result, changed, "wavelet")[..., middle, middle]
    assert torch.equal(after, before)


@pytest.mark.parametrize("band", [1, 7, 64, 1000])
@pytest.mark.parametrize("size", [(130, 77), (61, 40), (97, 11), (20, 15)])
@pytest.mark.parametrize("kind", ["mean", "wavelet"])
def test_bands_are_the_same_to_the_bit(kind: Any, size: tuple[int, int], band: int) -> None:
    source, result = picture(61, 40), picture(*size, 1) * 0.3
    whole = match_low_frequencies(result, source, kind)
    assert (whole - result).abs().max() > 0.2
    asked: list[int] = []

    def given(top: int, bottom: int) -> torch.Tensor:
        assert not asked or asked[-1] <= top
        asked.append(top)
        return source[:, :, top:bottom]

    done = list(
        matched_bands(
            lambda top, bottom: result[:, :, top:bottom],
            given,
            asked.clear,
            kind,
            size,
            61,
            band,
        )
    )
    assert [top for top, *_ in done] == list(range(0, size[0], band))
    assert torch.equal(torch.cat([image for *_, image in done], dim=2), whole)


@pytest.mark.parametrize("size", [(130, 77), (61, 40), (20, 15), (1, 1)])
def test_rows_are_those_of_the_resized_picture(size: tuple[int, int]) -> None:
    source = picture(61, 40)
    whole = bicubic_rows(source, size)
    # `bicubic` places its samples in float32.
    assert torch.allclose(whole, bicubic(source, size), atol=2e-5)
    for top in range(0, size[0], 9):
        out = top, min(top + 9, size[0])
        above, below = rows_needed(61, size[0], *out)
        part = bicubic_rows(source[:, :, above:below], size, out=out, above=above, height=61)
        assert torch.equal(part, whole[:, :, out[0] : out[1]])


def test_what_is_refused() -> None:
    with pytest.raises(UsageError, match="none, mean, wavelet"):
        match_low_frequencies(picture(4, 4), picture(4, 4), "fourier")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="belong together"):
        match_low_frequencies(picture(4, 4), picture(4, 4)[:1], "mean")
