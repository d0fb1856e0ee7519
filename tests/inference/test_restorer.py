"""Repair: one image of any kind in, the same kind out."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pixperts.errors import ImageError, UsageError
from pixperts.inference.restorer import Restorer
from pixperts.inference.upscaler import Upscaler
from pixperts.weights import store
from tests.helpers.moce_models import mini, moce_ir
from tests.helpers.tiny_models import tiny


def repairer(**options: Any) -> Restorer:
    return Restorer(mini(**options), store.Card("mini", {}), device="cpu")


@pytest.fixture(scope="module")
def restorer() -> Restorer:
    return repairer()


def noise(*shape: int, dtype: Any = np.float32) -> NDArray[Any]:
    values = np.random.default_rng(sum(shape)).random(shape, dtype=np.float32)
    if np.issubdtype(dtype, np.integer):
        return (values * (int(np.iinfo(dtype).max) + 0.999)).astype(dtype)
    return values.astype(dtype)


def network(restorer: Restorer, rgb: Tensor) -> Tensor:
    """What the bare network says of (3, H, W), not clamped."""
    with torch.inference_mode():
        image: Tensor = restorer.model(rgb[None]).image[0]
    return image


# ---------------------------------------------------------------- kinds


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_pil_images_stay_pil_images_of_their_mode(restorer: Restorer, mode: str) -> None:
    pixels = noise(6, 5, len(mode), dtype=np.uint8)
    image = Image.fromarray(pixels[..., 0] if mode == "L" else pixels)
    result = restorer.restore(image)
    assert isinstance(result, Image.Image)
    assert (result.mode, result.size) == (mode, (5, 6))
    array = restorer.restore(np.asarray(image))
    assert np.array_equal(np.asarray(result), array)
    assert not np.array_equal(array, np.asarray(image))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(6, 9), (6, 9, 1), (6, 9, 2), (6, 9, 3), (6, 9, 4)])
def test_arrays_keep_type_shape_and_alpha(
    restorer: Restorer, dtype: type[np.generic], shape: tuple[int, ...]
) -> None:
    image = noise(*shape, dtype=dtype)
    kept = image.copy()
    result = restorer.restore(image)
    assert isinstance(result, np.ndarray)
    assert (result.dtype, result.shape) == (image.dtype, shape)
    assert np.array_equal(image, kept)
    assert 0 <= result.min() <= result.max()
    if np.issubdtype(dtype, np.floating):
        assert result.max() <= 1
    if shape[2:] in ((2,), (4,)):
        if dtype != np.float64:  # pictures are held in float32
            assert np.array_equal(result[..., -1], image[..., -1])
        plain = restorer.restore(image[..., :-1])
        np.testing.assert_array_equal(result[..., :-1], plain)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(3, 6, 5), (1, 6, 5), (2, 3, 6, 5), (2, 4, 6, 5), (1, 2, 6, 5)])
def test_tensors_keep_type_shape_and_alpha(
    restorer: Restorer, dtype: torch.dtype, shape: tuple[int, ...]
) -> None:
    image = torch.from_numpy(noise(*shape)).to(dtype)
    result = restorer.restore(image)
    assert (result.dtype, result.shape) == (dtype, shape)
    assert 0 <= result.min() <= result.max() <= 1
    if shape[-3] in (2, 4):
        assert torch.equal(result.select(-3, -1), image.select(-3, -1))


def test_the_result_is_what_the_network_says_within_the_range(restorer: Restorer) -> None:
    rgb = torch.from_numpy(noise(3, 7, 12))
    said = network(restorer, rgb)
    assert said.min() < 0  # so that clamping is seen
    torch.testing.assert_close(restorer.restore(rgb), said.clamp(0, 1), atol=0, rtol=0)


def test_kinds_agree_with_each_other(restorer: Restorer) -> None:
    pixels = noise(6, 5, 3, dtype=np.uint8)
    array = restorer.restore(pixels)
    assert np.array_equal(np.asarray(restorer.restore(Image.fromarray(pixels))), array)
    tensor = restorer.restore(torch.from_numpy(pixels).permute(2, 0, 1) / 255)
    assert np.array_equal(np.rint(tensor.permute(1, 2, 0).numpy() * 255), array)
    floats = restorer.restore(pixels.astype(np.float32) / 255)
    np.testing.assert_allclose(floats, tensor.permute(1, 2, 0), atol=1e-5)
    deep = restorer.restore(pixels.astype(np.uint16) * 257)
    assert np.abs(deep / 257 - array).max() <= 0.5 + 1e-3


def test_grey_is_the_mean_of_its_repair_as_colour(restorer: Restorer) -> None:
    grey = torch.from_numpy(noise(1, 6, 5))
    colour = restorer.restore(grey.expand(3, -1, -1))
    expected = colour.mean(0, keepdim=True)
    torch.testing.assert_close(restorer.restore(grey), expected, atol=1e-5, rtol=0)


def test_a_batch_is_its_pictures(restorer: Restorer) -> None:
    batch = (
        torch.from_numpy(noise(3, 3, 12, 9)) * torch.tensor([1.0, 0.3, 0.1])[:, None, None, None]
    )
    together, routings = restorer.restore_with_routing(batch)
    alone = [restorer.restore_with_routing(picture) for picture in batch]
    torch.testing.assert_close(together, torch.stack([a[0] for a in alone]), atol=1e-5, rtol=0)
    for block, routing in enumerate(routings):
        assert routing.experts.tolist() == [a[1][block].experts[0].tolist() for a in alone]


@pytest.mark.parametrize("size", [(1, 1), (1, 17), (9, 1)])
def test_pictures_of_a_pixel_or_a_line(restorer: Restorer, size: tuple[int, int]) -> None:
    for channels in (1, 2, 3, 4):
        image = noise(*size, channels, dtype=np.uint8)
        assert restorer.restore(image).shape == (*size, channels)
        assert np.array_equal(restorer.restore(image, strength=0), image)


def test_a_result_may_take_part_in_autograd(restorer: Restorer) -> None:
    weight = torch.ones((), requires_grad=True)
    result = restorer.restore(torch.rand(3, 4, 4, requires_grad=True))
    (result * weight).sum().backward()
    assert weight.grad is not None
    assert weight.grad.item() == pytest.approx(result.sum().item(), rel=1e-5)


# ---------------------------------------------------------------- strength, routing, refusals


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_strength_0_is_the_input_bit_for_bit(
    restorer: Restorer, dtype: type[np.generic], channels: int
) -> None:
    image = noise(33, 20, channels, dtype=dtype)
    assert np.array_equal(restorer.restore(image, strength=0), image)
    assert not np.array_equal(restorer.restore(image, strength=1), image)


@pytest.mark.parametrize("strength", [0.25, 0.5, 0.9])
def test_a_strength_between_is_the_blend(restorer: Restorer, strength: float) -> None:
    rgb = torch.from_numpy(noise(3, 6, 5))
    blend = (1 - strength) * rgb + strength * network(restorer, rgb).clamp(0, 1)
    result = restorer.restore(rgb, strength=strength)
    torch.testing.assert_close(result, blend, atol=1e-5, rtol=0)


@pytest.mark.parametrize("strength", [-0.01, 1.01, float("nan"), float("inf")])
def test_a_strength_out_of_range_is_refused(restorer: Restorer, strength: float) -> None:
    with pytest.raises(UsageError, match=r"strength is .*, but must be between 0 and 1"):
        restorer.restore(noise(4, 4, 3), strength=strength)


def test_each_family_refuses_the_work_of_the_other_by_name(restorer: Restorer) -> None:
    other: Any = Upscaler(tiny(), store.Card("small", {}), device="cpu")
    mine: Any = restorer
    enlarges = r"^small enlarges and does not repair: use 'upscale'"
    repairs = r"^mini repairs and does not enlarge: use 'restore'"
    with pytest.raises(UsageError, match=enlarges):
        other.restore(noise(4, 4, 3))
    with pytest.raises(UsageError, match=repairs):
        mine.upscale(noise(4, 4, 3), scale=2)
    assert not hasattr(other, "restore_with_routing")
    assert not hasattr(mine, "upscale_with_routing")
    with pytest.raises(AttributeError, match="'Restorer' object has no attribute 'enlarge'"):
        mine.enlarge(noise(4, 4, 3))
    for kind, model, card, refusal in (
        (Restorer, other.model, other.card, enlarges),
        (Upscaler, mine.model, mine.card, repairs),
    ):
        with pytest.raises(UsageError, match=refusal):
            kind(model, card, device="cpu")
    with pytest.raises(UsageError, match=enlarges):
        Restorer.of(other)
    assert Upscaler.of(other) is other


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_a_network_that_gives_no_numbers_is_reported(value: float, strength: float) -> None:
    broken = repairer()
    moce_ir(broken.model).output.weight.data.fill_(value)
    with pytest.raises(ImageError, match="mini gave values that are not finite"):
        broken.restore(noise(4, 4, 3), strength=strength)


def test_what_does_not_fit_the_memory_is_refused(
    restorer: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixperts.memory.available_memory", lambda: 20_000)
    assert restorer.restore(noise(8, 8, 3)).shape == (8, 8, 3)
    with pytest.raises(UsageError, match="A result of 40 x 30 pixels needs"):
        restorer.restore(noise(30, 40, 3))


def test_routings_and_progress_are_told(restorer: Restorer) -> None:
    seen: list[float] = []
    _, routings = restorer.restore_with_routing(noise(6, 5, 3), progress=seen.append)
    assert seen[-1] == 1.0
    assert [routing.name for routing in routings] == [
        "level 2 block 0", "level 1 block 0", "level 1 block 1", "level 0 block 0",
    ]  # fmt: skip
