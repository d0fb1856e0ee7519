"""One image of any kind in, the same kind out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pixperts.errors import ImageError, ModelError, UsageError
from pixperts.inference.device import choose_device
from pixperts.inference.loading import load
from pixperts.inference.upscaler import Upscaler
from pixperts.models.presets import create_model
from pixperts.ops.resize import bicubic
from pixperts.weights import store
from pixperts.weights.packaged import packaged_models
from tests.helpers.tiny_models import moeisr

TINY: dict[str, Any] = {
    "encoder_options": {"channels": 8, "blocks": 1},
    "width": 8,
    "mapper_width": 4,
    "mapper_layers": 2,
}


def tiny(name: str = "moeisr-tiny", **options: Any) -> Upscaler:
    torch.manual_seed(0)
    pool = {"depths": (0, 1), "widths": (8, 8)} if name.startswith("moeisr") else {}
    model = create_model(name, **TINY | pool | options)
    return Upscaler(model, store.Card(name=name, config={}), device="cpu")


@pytest.fixture(scope="module")
def upscaler() -> Upscaler:
    return tiny()


def noise(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


# ---------------------------------------------------------------- kinds


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_pil_images_stay_pil_images_of_their_mode(upscaler: Upscaler, mode: str) -> None:
    pixels = (noise(6, 5, len(mode)) * 255).astype(np.uint8)
    image = Image.fromarray(pixels[..., 0] if mode == "L" else pixels)
    assert image.mode == mode
    result = upscaler.upscale(image, scale=2)
    assert isinstance(result, Image.Image)
    assert (result.mode, result.size) == (mode, (10, 12))


def test_palettes_and_bilevel_images_become_what_they_show(upscaler: Upscaler) -> None:
    colours = Image.fromarray((noise(6, 5, 3) * 255).astype(np.uint8)).quantize(4)
    assert upscaler.upscale(colours, scale=2).mode == "RGB"
    assert upscaler.upscale(Image.new("1", (4, 4)), scale=2).mode == "L"
    colours.info["transparency"] = 0
    assert upscaler.upscale(colours, scale=2).mode == "RGBA"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 1), (6, 5, 2), (6, 5, 3), (6, 5, 4)])
def test_arrays_keep_type_and_channels(
    upscaler: Upscaler, dtype: type[np.generic], shape: tuple[int, ...]
) -> None:
    integer = np.issubdtype(dtype, np.integer)
    top = np.iinfo(dtype).max if integer else 1  # type: ignore[type-var]
    image = (noise(*shape) * top).astype(dtype)
    kept = image.copy()
    result = upscaler.upscale(image, size=(11, 13))
    assert isinstance(result, np.ndarray)
    assert result.dtype == dtype
    assert result.shape == (13, 11, *shape[2:])
    assert 0 <= result.min() <= result.max() <= top
    assert np.array_equal(image, kept)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(3, 6, 5), (1, 6, 5), (2, 3, 6, 5), (2, 4, 6, 5), (1, 2, 6, 5)])
def test_tensors_keep_type_channels_and_batch(
    upscaler: Upscaler, dtype: torch.dtype, shape: tuple[int, ...]
) -> None:
    image = torch.from_numpy(noise(*shape)).to(dtype)
    result = upscaler.upscale(image, scale=1.5)
    assert result.dtype == dtype
    assert result.shape == (*shape[:-2], 9, 8)
    assert 0 <= result.min() <= result.max() <= 1


def test_a_result_may_take_part_in_autograd(upscaler: Upscaler) -> None:
    result = upscaler.upscale(torch.rand(3, 4, 4, requires_grad=True), scale=2)
    weight = torch.ones((), requires_grad=True)
    (result * weight).sum().backward()
    assert weight.grad is not None
    assert weight.grad.item() == pytest.approx(result.sum().item(), rel=1e-5)


def test_kinds_agree_with_each_other(upscaler: Upscaler) -> None:
    pixels = (noise(6, 5, 3) * 255).astype(np.uint8)
    array = upscaler.upscale(pixels, scale=2)
    assert np.array_equal(np.asarray(upscaler.upscale(Image.fromarray(pixels), scale=2)), array)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1) / 255
    from_tensor = upscaler.upscale(tensor, scale=2).permute(1, 2, 0).numpy()
    assert np.array_equal(np.rint(from_tensor * 255).astype(np.uint8), array)
    from_float = upscaler.upscale(pixels.astype(np.float32) / 255, scale=2)
    np.testing.assert_allclose(from_float, from_tensor, atol=1e-6)


def test_a_batch_is_its_pictures(upscaler: Upscaler) -> None:
    batch = torch.from_numpy(noise(2, 3, 6, 5))
    together = upscaler.upscale(batch, scale=2)
    alone = torch.stack([upscaler.upscale(picture, scale=2) for picture in batch])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


# ---------------------------------------------------------------- channels


def test_grey_is_the_mean_of_its_enlargement_as_colour(upscaler: Upscaler) -> None:
    grey = torch.from_numpy(noise(1, 6, 5))
    result = upscaler.upscale(grey, scale=2)
    colour = upscaler.upscale(grey.expand(3, -1, -1), scale=2)
    torch.testing.assert_close(result, colour.mean(0, keepdim=True), atol=1e-5, rtol=0)


@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_is_enlarged_by_bicubic_and_colour_as_without_it(
    upscaler: Upscaler, channels: int
) -> None:
    image = torch.from_numpy(noise(channels, 6, 5))
    result = upscaler.upscale(image, scale=2)
    expected = bicubic(image[None, -1:], (12, 10)).clamp(0, 1)[0]
    torch.testing.assert_close(result[-1:], expected)
    plain = upscaler.upscale(image[:-1], scale=2)
    torch.testing.assert_close(result[:-1], plain, atol=1e-5, rtol=0)


def test_an_opaque_picture_stays_opaque(upscaler: Upscaler) -> None:
    pixels = (noise(6, 5, 4) * 255).astype(np.uint8)
    pixels[..., 3] = 255
    assert (upscaler.upscale(pixels, scale=2.3)[..., 3] == 255).all()


# ---------------------------------------------------------------- routing, budget, cost


def test_routing_and_cost_are_told() -> None:
    upscaler, image = tiny(), noise(6, 5, 3)
    cheap = upscaler.upscale_with_routing(image, scale=2, budget=0.0)[1]
    dear = upscaler.upscale_with_routing(image, scale=2, budget=1.0)[1]
    assert cheap is not None
    assert dear is not None
    assert cheap.experts.shape == (1, 12, 10)
    assert (cheap.shares, dear.shares) == ((1.0, 0.0), (0.0, 1.0))
    costs = [upscaler.multiply_adds(5, 6, 10, 12, routing) for routing in (cheap, dear)]
    assert costs[0] < costs[1]
    assert costs[1] == upscaler.multiply_adds(5, 6, 10, 12, None)
    assert costs[1] == upscaler.model.multiply_adds((6, 5), (12, 10))["total"]


def test_a_dense_model_has_no_routing_and_takes_no_budget() -> None:
    dense = tiny("liif-edsr")
    result, routing = dense.upscale_with_routing(noise(4, 4, 3), scale=2)
    assert routing is None
    assert result.shape == (8, 8, 3)
    with pytest.raises(UsageError, match="liif-edsr has a single expert"):
        dense.upscale(noise(4, 4, 3), scale=2, budget=0.5)


def test_progress_rises_to_one(upscaler: Upscaler) -> None:
    seen: list[float] = []
    upscaler.upscale(noise(6, 5, 3), scale=2, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("photo.png", "must be a PIL image, a NumPy array or a torch tensor"),
        ([[1, 2]], "must be a PIL image"),
        (np.zeros((4, 4, 5), np.uint8), "1 to 4 channels"),
        (np.zeros((1, 4, 4, 3), np.uint8), "1 to 4 channels"),
        (np.zeros((0, 4, 3), np.uint8), "NumPy image"),
        (np.full((4, 4, 3), 255.0, np.float32), "scale them into"),
        (np.full((4, 4, 3), np.nan, np.float32), "(?i)nan|finite"),
        (torch.zeros(5, 4, 3), "1 to 4 channels"),
        (torch.zeros(4, 4), "1 to 4 channels"),
        (torch.zeros(3, 0, 4), "torch image"),
        (torch.zeros(3, 4, 4, dtype=torch.int16), "uint8, uint16 or float"),
        (torch.full((3, 4, 4), 2.0), r"into \[0, 1\]"),
        (torch.full((3, 4, 4), torch.nan), "finite"),
        (Image.new("I;16", (4, 4)), "mode I;16"),
        (Image.new("F", (4, 4)), "mode F"),
    ],
)
def test_unusable_images_are_refused(upscaler: Upscaler, image: Any, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        upscaler.upscale(image, scale=2)


@pytest.mark.parametrize(
    "options",
    [
        {"scale": 2, "size": (4, 4)},
        {"scale": 0},
        {"scale": float("nan")},
        {"size": (0, 4)},
        {"scale": 2, "budget": 1.5},
        {"scale": 2, "budget": float("nan")},
        {"scale": 100_000},
    ],
)
def test_senseless_requests_are_refused(upscaler: Upscaler, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        upscaler.upscale(noise(6, 5, 3), **options)


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_network_that_gives_no_numbers_is_reported(value: float) -> None:
    broken = tiny()
    for expert in moeisr(broken.model).pool:
        expert.colour.bias.data.fill_(value)
    with pytest.raises(ImageError, match="moeisr-tiny gave values that are not finite"):
        broken.upscale(noise(4, 4, 3), scale=2)


# ---------------------------------------------------------------- loading


def test_a_weights_file_loads_and_enlarges_the_same(tmp_path: Path) -> None:
    upscaler, path = tiny(), tmp_path / "mine.safetensors"
    store.save(path, upscaler.model, upscaler.card)
    for given in (path, str(path)):
        again = Upscaler.load(given, device="cpu")
        assert again.name == "moeisr-tiny"
        expected = upscaler.upscale(noise(5, 4, 3), scale=2)
        assert np.array_equal(again.upscale(noise(5, 4, 3), scale=2), expected)


def test_packaged_models_load_and_work() -> None:
    assert packaged_models()
    flat = np.full((8, 8, 3), 0.5, np.float32)
    for name in packaged_models():
        predictor = load(name, device="cpu")
        enlarges = isinstance(predictor, Upscaler)
        assert hasattr(predictor, "restore") != enlarges
        result = (
            predictor.upscale(flat, scale=2)
            if isinstance(predictor, Upscaler)
            else predictor.restore(flat)
        )
        assert result.shape == ((16, 16, 3) if enlarges else (8, 8, 3)), name
        if enlarges:  # grey without any content may well be haze to a network that repairs
            np.testing.assert_allclose(result, 0.5, atol=0.1, err_msg=name)


def test_unknown_names_and_foreign_files_are_refused_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="unknown model 'moeisr-huge'"):
        load("moeisr-huge")
    with pytest.raises(ModelError, match=r"pixperts convert .*liif\.pth liif\.safetensors"):
        load(tmp_path / "liif.pth")
    with pytest.raises(ModelError, match="no such weights file"):
        load(tmp_path / "absent.safetensors")


def test_devices_are_checked() -> None:
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(UsageError, match="unknown"):
        choose_device("toaster")
    with pytest.raises(UsageError, match="not available"):
        choose_device("cuda:99")
    with pytest.raises(UsageError, match="not available"):
        choose_device("meta")
