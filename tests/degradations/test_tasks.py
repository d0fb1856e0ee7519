import math
from collections.abc import Callable
from typing import Any
from zlib import crc32

import numpy as np
import pytest
import torch
from torch import Tensor

from pixperts.degradations.blur import defocus_blur, motion_blur
from pixperts.degradations.camera import jpeg, low_light
from pixperts.degradations.noise import gaussian_noise
from pixperts.degradations.tasks import COMPOSITIONS, RANGES, TASKS, degrade, draw_parameters
from pixperts.degradations.weather import haze, rain, snow
from pixperts.errors import UsageError


def photo(height: int = 40, width: int = 48) -> Tensor:
    """A smooth ramp with texture, from exact arithmetic only: the same bits everywhere."""
    rows = torch.arange(height, dtype=torch.float64)[:, None]
    columns = torch.arange(width, dtype=torch.float64)[None, :]
    channels = [
        (rows * 5 + columns * 3) % 256,
        (rows * 2 + columns * 4 + 60) % 256,
        ((rows // 8 + columns // 8) % 2) * 128 + 32 + rows,
    ]
    return (torch.stack(channels) / 255).float()


def grey(value: float, side: int = 128) -> Tensor:
    return torch.full((3, side, side), value)


def levels(image: Tensor) -> np.ndarray:
    return (image.numpy().astype(np.float64) * 255).round().astype(np.uint8)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1), (2, 3), (33, 17)])
@pytest.mark.parametrize("task", TASKS)
def test_every_task_at_any_size(task: str, size: tuple[int, int]) -> None:
    clean = photo(*size)
    before = clean.clone()
    bad = degrade(clean, task, 5)
    assert bad.shape == clean.shape
    assert bad.dtype == torch.float32
    assert bad.min() >= 0
    assert bad.max() <= 1
    codes = bad.double() * 255
    assert (codes - codes.round()).abs().max() < 1e-4
    assert torch.equal(clean, before)


@pytest.mark.parametrize("task", TASKS)
def test_the_seed_decides(task: str) -> None:
    clean = photo(90, 130)  # scratches are rare
    first = degrade(clean, task, 1)
    assert torch.equal(first, degrade(clean, task, 1))
    assert not torch.equal(first, degrade(clean, task, 2))
    assert not torch.equal(first, clean)


def test_the_global_random_state_plays_no_part() -> None:
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    first = degrade(photo(), "low_haze_rain", 3)
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    state = torch.random.get_rng_state()
    assert torch.equal(first, degrade(photo(), "low_haze_rain", 3))
    assert torch.equal(state, torch.random.get_rng_state())


# Of the 8-bit pictures. JPEG is left out: its library decides the last level.
CHECKSUMS = {
    "noise15": 28257154,
    "noise25": 146368657,
    "noise50": 917787203,
    "rain": 3606960881,
    "haze": 1487543881,
    "snow": 2335324816,
    "low_light": 339348629,
    "blur": 488273147,
    "defocus": 1516572625,
    "grain": 2888504896,
    "scratches": 2929539075,
    "low": 339348629,
    "low_haze": 1337944459,
    "low_rain": 1802596074,
    "low_snow": 2827904641,
    "haze_rain": 1406834187,
    "haze_snow": 184925270,
    "low_haze_rain": 3168804419,
    "low_haze_snow": 3231391466,
}


@pytest.mark.parametrize("task", sorted(set(TASKS) - {"jpeg", "grain_jpeg"}))
def test_the_same_picture_on_every_machine(task: str) -> None:
    assert crc32(levels(degrade(photo(), task, 7)).tobytes()) == CHECKSUMS[task]


def test_the_eleven_mixtures() -> None:
    expected = (
        "low haze rain snow low_haze low_rain low_snow haze_rain haze_snow "
        "low_haze_rain low_haze_snow"
    )
    assert list(COMPOSITIONS) == expected.split()
    for name, steps in COMPOSITIONS.items():
        assert [step.removesuffix("_light") for step in steps] == name.split("_")
    assert set(TASKS) == set(RANGES) | set(COMPOSITIONS) | {"grain_jpeg"}


def test_a_mixture_is_its_steps_in_order_rounded_once() -> None:
    clean = photo()
    drawn: dict[str, Any] = draw_parameters("low_haze_rain", 4)
    dark = low_light(clean, seed=4, **drawn["low_light"])
    wet = rain(haze(dark, seed=4, **drawn["haze"]), seed=4, **drawn["rain"])
    mixture = degrade(clean, "low_haze_rain", 4)
    assert (mixture - wet).abs().max() <= 0.5 / 255 + 1e-6
    # Rain falls before the haze: rain under the haze would be dimmed.
    under = haze(rain(dark, seed=4, **drawn["rain"]), seed=4, **drawn["haze"])
    assert (mixture - under).abs().max() > 0.05


def test_a_step_is_the_same_alone_and_in_a_mixture() -> None:
    mixed = draw_parameters("low_haze_snow", 9)
    for task in ("low_light", "haze", "snow"):
        assert draw_parameters(task, 9) == {task: mixed[task]}
    assert draw_parameters("low", 9) == draw_parameters("low_light", 9)


@pytest.mark.parametrize("step", RANGES)
def test_parameters_fill_their_ranges(step: str) -> None:
    drawn = [draw_parameters(step, seed)[step] for seed in range(60)]
    for name, (low, high) in RANGES[step].items():
        values = [parameters[name] for parameters in drawn]
        assert low <= min(values) < low + 0.15 * (high - low)
        assert high >= max(values) > high - 0.15 * (high - low)


def test_noise_is_the_documented_stream_scaled() -> None:
    noisy = gaussian_noise(photo(), sigma=25, seed=3, clip=False, quantize=False)
    stream = np.random.Generator(np.random.PCG64([3, crc32(b"gaussian_noise")]))
    expected = photo().numpy() + 25 / 255 * stream.standard_normal((3, 40, 48))
    np.testing.assert_allclose(noisy.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_noise_keeps_mean_and_spread_before_clipping(value: float) -> None:
    noise = gaussian_noise(grey(value), sigma=50, seed=1, clip=False, quantize=False) - value
    count = noise.numel()  # standard errors: sigma / sqrt(n) and sigma / sqrt(2 n)
    assert abs(noise.mean().item()) < 4 * (50 / 255) / math.sqrt(count)
    assert noise.std().item() == pytest.approx(50 / 255, rel=4 / math.sqrt(2 * count))


def test_clipped_noise_at_black_has_the_half_normal_mean() -> None:
    noisy = gaussian_noise(grey(0.0), sigma=50, seed=1, clip=True, quantize=False)
    assert noisy.min() == 0
    assert noisy.mean().item() == pytest.approx(50 / 255 / math.sqrt(2 * math.pi), rel=0.02)


def test_rounding_is_half_up_and_never_truncates() -> None:
    # 0.3 * 255 = 76.5 and 0.1 * 255 = 25.5 exactly in float64; half to even would give 76.
    values = torch.tensor([0.3, 0.1, 26.9 / 255, 26.4 / 255, 1.0], dtype=torch.float64)
    image = values.expand(3, 1, 5)
    rounded = gaussian_noise(image, sigma=0, seed=0, clip=True, quantize=True)
    assert levels(rounded)[0, 0].tolist() == [77, 26, 27, 26, 255]


def test_quantized_noise_has_no_bias() -> None:
    noise = gaussian_noise(grey(0.5), sigma=25, seed=2, clip=True, quantize=True)
    codes = noise.double() * 255
    assert (codes - codes.round()).abs().max() < 1e-4
    assert abs(codes.mean().item() - 127.5) < 4 * 25 / math.sqrt(noise.numel())
    loose = gaussian_noise(grey(0.0), sigma=25, seed=2, clip=False, quantize=True)
    assert loose.min() < 0


@pytest.mark.parametrize(("task", "sigma"), [("noise15", 15), ("noise25", 25), ("noise50", 50)])
def test_the_name_sets_the_noise_level(task: str, sigma: int) -> None:
    clean = grey(0.5)
    noisy = degrade(clean, task, 8)
    assert torch.equal(noisy, gaussian_noise(clean, sigma=sigma, seed=8, clip=True, quantize=True))
    assert (noisy - clean).std().item() * 255 == pytest.approx(sigma, rel=0.02)


BLURS: list[Callable[[Tensor], Tensor]] = [
    lambda image: motion_blur(image, length=9, angle=30),
    lambda image: motion_blur(image, length=6.5, angle=-110),
    lambda image: defocus_blur(image, radius=3.3),
]


@pytest.mark.parametrize("blur", BLURS)
def test_blur_is_linear_and_keeps_the_mean(blur: Callable[[Tensor], Tensor]) -> None:
    first, second = photo(), photo().flip(2)
    mixed = blur(0.3 * first + 0.7 * second)
    torch.testing.assert_close(mixed, 0.3 * blur(first) + 0.7 * blur(second), atol=1e-6, rtol=0)
    torch.testing.assert_close(blur(grey(0.37, 20)), grey(0.37, 20))
    inner = torch.zeros(3, 40, 48)  # far from the border, where mirroring plays no part
    inner[:, 10:30, 10:38] = photo()[:, 10:30, 10:38]
    assert blur(inner).sum().item() == pytest.approx(inner.sum().item(), rel=1e-5)


@pytest.mark.parametrize("blur", BLURS)
def test_blur_kernel_is_centred_and_symmetric(blur: Callable[[Tensor], Tensor]) -> None:
    dot = torch.zeros(3, 31, 31)
    dot[:, 15, 15] = 1
    kernel = blur(dot)[0]
    torch.testing.assert_close(kernel, kernel.flip(0, 1), atol=1e-7, rtol=0)
    assert kernel.min() >= 0
    assert kernel.sum().item() == pytest.approx(1, abs=1e-5)


def test_motion_kernels_by_hand() -> None:
    dot = torch.zeros(3, 7, 7)
    dot[:, 3, 3] = 1
    upright = torch.zeros(7, 7)
    upright[1:6, 3] = 0.2
    torch.testing.assert_close(motion_blur(dot, length=5, angle=90)[0], upright)
    # Anticlockwise: at 45 degrees the path runs from the lower left to the upper right.
    slanted = motion_blur(dot, length=5, angle=45)[0]
    assert slanted[2, 4] > 0.1
    assert slanted[2, 2] == 0
    # Length 2: half a pixel beyond the center on either side gives weights 1/2, 1, 1/2.
    weights = motion_blur(dot, length=2, angle=0)[0, 3, 2:5]
    torch.testing.assert_close(weights, torch.tensor([0.25, 0.5, 0.25]))


def test_defocus_kernel_by_hand() -> None:
    dot = torch.zeros(3, 5, 5)
    dot[:, 2, 2] = 1
    # Weights clip(r + 1/2 - d): 1 at the center, 1/2 at d = 1, 1.5 - sqrt(2) on the diagonal.
    corner = 1.5 - math.sqrt(2)
    total = 1 + 4 * 0.5 + 4 * corner
    kernel = defocus_blur(dot, radius=1)[0]
    expected = [corner / total, 0.5 / total, 1 / total]
    for place, weight in zip([(1, 1), (1, 2), (2, 2)], expected, strict=True):
        assert kernel[place].item() == pytest.approx(weight, abs=1e-6)
    assert kernel[0].abs().max() == 0


def test_no_blur_is_the_identity() -> None:
    for gamma in (1.0, 2.2):
        torch.testing.assert_close(motion_blur(photo(), length=1, angle=17, gamma=gamma), photo())
        torch.testing.assert_close(defocus_blur(photo(), radius=0, gamma=gamma), photo())


def test_border_is_mirrored() -> None:
    row = torch.tensor([0.0, 0.3, 0.9]).expand(3, 1, 3)
    blurred = motion_blur(row, length=3, angle=0)[0, 0]
    torch.testing.assert_close(blurred, torch.tensor([0.1, 0.4, 0.7]))


def test_gamma_averages_light() -> None:
    edge = torch.tensor([1.0, 0.0, 0.0]).expand(3, 1, 3)
    blurred = motion_blur(edge, length=3, angle=0, gamma=2)[0, 0]
    torch.testing.assert_close(blurred, torch.tensor([2 / 3, 1 / 3, 0]).sqrt())


def test_low_light_by_hand() -> None:
    # A quarter of white's light: 1.055 * 0.25^(1 / 2.4) - 0.055 = 0.5371.
    white = low_light(grey(1.0, 2), exposure=0.25, gamma=1, read_noise=0, shot_noise=0, seed=0)
    assert white[0, 0, 0].item() == pytest.approx(0.5371, abs=1e-4)
    # sRGB 0.5 is 0.2140 of the light; squared 0.04581, which is sRGB 0.2370.
    half = low_light(grey(0.5, 2), exposure=1, gamma=2, read_noise=0, shot_noise=0, seed=0)
    assert half[0, 0, 0].item() == pytest.approx(0.2370, abs=1e-4)
    same = low_light(photo(), exposure=1, gamma=1, read_noise=0, shot_noise=0, seed=0)
    torch.testing.assert_close(same, photo(), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("read", "shot"), [(0.02, 0.0), (0.0, 0.002), (0.02, 0.002)])
def test_noise_variance_grows_with_light(read: float, shot: float) -> None:
    for light in (0.25, 0.5):
        dark = low_light(
            grey(1.0), exposure=light, gamma=1, read_noise=read, shot_noise=shot, seed=1
        ).double()
        linear = ((dark + 0.055) / 1.055) ** 2.4
        assert linear.mean().item() == pytest.approx(light, rel=5e-3)
        assert linear.std().item() == pytest.approx(math.sqrt(shot * light + read**2), rel=0.02)


def test_jpeg_loses_less_at_higher_quality() -> None:
    clean = photo(64, 64)
    losses = [(jpeg(clean, quality=q) - clean).square().mean().item() for q in (5, 30, 80, 100)]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] > 4 * losses[-1] > 0
    assert torch.equal(jpeg(grey(128 / 255, 16), quality=50), grey(128 / 255, 16))


SCENE = torch.full((3, 4, 4), 0.5)
BAD_CALLS: dict[str, Callable[[], object]] = {
    "no degradation 'fog'": lambda: degrade(SCENE, "fog", 0),
    "seed is -1": lambda: degrade(SCENE, "rain", -1),
    "seed is 0.5": lambda: snow(SCENE, seed=0.5),  # type: ignore[arg-type]
    "shape (1, 4, 4)": lambda: degrade(SCENE[:1], "haze", 0),
    "shape (1, 3, 4, 4)": lambda: degrade(SCENE[None], "haze", 0),
    "shape (3, 0, 4)": lambda: degrade(SCENE[:, :0], "noise15", 0),
    "torch.uint8": lambda: degrade(SCENE.byte(), "noise15", 0),
    "spans 127.5 to 127.5": lambda: degrade(SCENE * 255, "noise15", 0),
    "spans nan": lambda: degrade(SCENE * math.nan, "noise15", 0),
    "sigma is -1": lambda: gaussian_noise(SCENE, sigma=-1, seed=0, clip=True, quantize=True),
    "sigma is nan": lambda: gaussian_noise(SCENE, sigma=math.nan, seed=0, clip=True, quantize=True),
    "length is 0": lambda: motion_blur(SCENE, length=0, angle=0),
    "angle is inf": lambda: motion_blur(SCENE, length=3, angle=math.inf),
    "gamma is 0": lambda: motion_blur(SCENE, length=3, angle=0, gamma=0),
    "radius is -0.1": lambda: defocus_blur(SCENE, radius=-0.1),
    "exposure is 0": lambda: low_light(
        SCENE, exposure=0, gamma=1, read_noise=0, shot_noise=0, seed=0
    ),
    "read_noise is -1": lambda: low_light(
        SCENE, exposure=1, gamma=1, read_noise=-1, shot_noise=0, seed=0
    ),
    "quality is 0": lambda: jpeg(SCENE, quality=0),
    "quality is nan": lambda: jpeg(SCENE, quality=math.nan),  # type: ignore[arg-type]
    "quality is 50.5": lambda: jpeg(SCENE, quality=50.5),  # type: ignore[arg-type]
    "density is 0.2": lambda: rain(SCENE, seed=0, density=0.2),
    "angle is 80": lambda: rain(SCENE, seed=0, angle=80),
    "blend is 'normal'": lambda: rain(SCENE, seed=0, blend="normal"),  # type: ignore[arg-type]
    "opacity is 1": lambda: snow(SCENE, seed=0, opacity=1),
    "beta is -1": lambda: haze(SCENE, beta=-1, airlight=0.8, seed=0),
    "airlight is 2": lambda: haze(SCENE, beta=1, airlight=2, seed=0),
    "needs a depth map": lambda: haze(SCENE, beta=1, airlight=0.8),
    "depth is (2, 2)": lambda: haze(SCENE, beta=1, airlight=0.8, depth=torch.ones(2, 2)),
    "negative": lambda: haze(SCENE, beta=1, airlight=0.8, depth=-torch.ones(4, 4)),
}


@pytest.mark.parametrize("words", BAD_CALLS)
def test_bad_calls_are_refused_in_one_sentence(words: str) -> None:
    with pytest.raises(UsageError) as caught:
        BAD_CALLS[words]()
    message = str(caught.value)
    assert words in message
    assert message.endswith(".")
    assert "\n" not in message
