"""Several faults at once: seeded, in range, and the target is what is left to be repaired."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from pixperts.degradations.drawings import draw_over
from pixperts.degradations.mixture import (
    GROUPS,
    Step,
    apply_steps,
    draw_file,
    draw_mixture,
    draw_snapshot,
    faulty,
    resized_and_back,
    tone_curve,
)
from pixperts.degradations.prints import dust_and_scratches, fade
from pixperts.degradations.tasks import TASKS, degrade
from pixperts.errors import UsageError
from pixperts.io.image import write_image


def photo(height: int = 48, width: int = 56) -> Tensor:
    y, x = np.mgrid[:height, :width]
    waves = [0.5 + 0.35 * np.sin(x / (4 + c) + y / (7 - c)) for c in range(3)]
    return torch.from_numpy(np.round(np.stack(waves) * 255) / 255).float()


def test_a_seed_gives_the_same_picture_and_another_another() -> None:
    for seed in range(12):
        one, two = faulty(photo(), "mixture", seed), faulty(photo(), "mixture", seed)
        assert torch.equal(one.degraded, two.degraded)
        assert torch.equal(one.target, two.target)
        assert one.groups == two.groups
    assert len({draw_mixture(seed) == draw_mixture(0) for seed in range(9)}) == 2


def test_pictures_are_of_eight_bits_and_in_range() -> None:
    for seed in range(40):
        found = faulty(photo(), "mixture", seed)
        for image in found[:4]:
            assert isinstance(image, Tensor)
            assert image.dtype == torch.float32
            assert float(image.min()) >= 0
            assert float(image.max()) <= 1
            assert float((image * 255 - (image * 255).round()).abs().max()) < 1e-3


def test_every_part_is_there_and_often_absent() -> None:
    mixtures = [draw_mixture(seed) for seed in range(1500)]
    shares = Counter(name for steps in mixtures for name in {step.name for step in steps})
    names = {"haze", "low_light", "rain", "snow", "blur", "defocus", "soft", "resize", "white"}
    assert set(shares) == names | {"camera", "grain", "tone", "jpeg", "scratches", "fade"}
    assert all(0.01 < count / 1500 < 0.75 for count in shares.values())
    assert 0.02 < sum(not steps for steps in mixtures) / 1500 < 0.2
    twice = sum([step.name for step in steps].count("jpeg") == 2 for steps in mixtures)
    assert 0.03 < twice / 1500 < 0.2
    last = [steps[-1].name for steps in mixtures if any(s.name == "jpeg" for s in steps)]
    assert last.count("jpeg") < len(last)  # some were edited after the first compression


def test_files_are_compressed_once_as_programs_do() -> None:
    files = [draw_file(seed) for seed in range(400)]
    assert {step.name for steps in files for step in steps} == {"jpeg"}
    assert {len(steps) for steps in files} == {1}
    qualities = [steps[0].parameters["quality"] for steps in files]
    assert (min(qualities), max(qualities)) == (30, 97)
    plain = sum(steps[0].parameters["chroma"] == "4:4:4" for steps in files)
    assert 0.2 < plain / 400 < 0.4
    found = faulty(photo(), "file", 3)
    assert not torch.equal(found.degraded, found.noisy)
    assert torch.equal(found.noisy, found.target)


def test_snapshots_are_noisy_and_their_sharpening_stays() -> None:
    snapshots = [draw_snapshot(seed) for seed in range(300)]
    shares = Counter(step.name for steps in snapshots for step in steps)
    assert set(shares) == {"low_light", "camera", "grain", "sharpen", "jpeg"}
    assert shares["camera"] == 300
    assert all(0.2 < shares[name] / 300 < 0.95 for name in set(shares) - {"camera"})
    found = faulty(photo(), "snapshot", 4)
    assert found.groups[GROUPS.index("noise")]
    assert torch.equal(found.faulty, found.target)
    halo = Step("sharpen", {"amount": 1.0, "sigma": 1.0})
    only = apply_steps(photo(), (halo,), 0)
    assert torch.equal(only.degraded, only.target)
    assert not any(only.groups)
    assert float(only.target.std()) > float(photo().std())


@pytest.mark.parametrize("task", sorted(TASKS))
def test_a_task_is_degraded_as_its_benchmark_is(task: str) -> None:
    found = faulty(photo(), task, 3)
    assert torch.equal(found.degraded, degrade(photo(), task, 3))
    steps = TASKS[task]
    if not {"haze", "low_light"} & set(steps):
        assert torch.equal(found.target, photo())
    else:
        assert float((found.target - photo()).abs().mean()) > 0.02
        calm = (found.target - found.degraded).abs().mean()
        assert float(calm) < float((photo() - found.degraded).abs().mean())
    assert found.groups[GROUPS.index("light")] == bool({"haze", "low_light"} & set(steps))
    assert found.groups[GROUPS.index("weather")] == bool({"rain", "snow"} & set(steps))


def test_light_is_in_the_target_and_noise_is_not() -> None:
    dark = Step("low_light", {"exposure": 0.1, "gamma": 1.0})
    only = apply_steps(photo(), (dark,), 5)
    assert torch.equal(only.degraded, only.target)
    both = apply_steps(photo(), (dark, Step("white", {"sigma": 20.0})), 5)
    assert torch.equal(both.target, only.target)
    assert float((both.degraded - both.target).abs().mean()) > 0.02
    # A tone curve after the noise bends both.
    curve = Step("tone", {"gamma": 2.0, "bend": 0.0})
    bent = apply_steps(photo(), (Step("white", {"sigma": 20.0}), curve), 5)
    assert float((bent.target - photo() ** 2).abs().max()) < 0.5 / 255 + 1e-6


def test_each_part_of_the_repair_undoes_its_own_fault() -> None:
    dark = Step("low_light", {"exposure": 0.3, "gamma": 1.0})
    rainy, noisy = Step("rain", {"density": 3e-3}), Step("white", {"sigma": 20.0})
    packed = Step("jpeg", {"quality": 30})

    def version(*steps: Step) -> Tensor:
        """With the seeds that these steps have among all four."""
        every = (dark, rainy, noisy, packed)
        kept = tuple(s if s in steps else Step("tone", {"gamma": 1.0, "bend": 0.0}) for s in every)
        return apply_steps(photo(), kept, 5).degraded

    found = apply_steps(photo(), (dark, rainy, noisy, packed), 5)
    assert torch.equal(found.degraded, version(dark, rainy, noisy, packed))
    assert torch.equal(found.noisy, version(dark, rainy, noisy))
    assert torch.equal(found.faulty, version(dark, rainy))
    assert torch.equal(found.target, version(dark))
    # Noise that comes with the darkness is noise, too.
    task = faulty(photo(), "low_light", 3)
    assert torch.equal(task.degraded, task.noisy)
    assert torch.equal(task.faulty, task.target)
    assert not torch.equal(task.noisy, task.faulty)


def test_marks_are_seldom_and_fading_drains_colors() -> None:
    clean = photo(120, 160)
    found = faulty(clean, "scratches", 4)
    touched = (found.degraded != clean).any(dim=0).float().mean()
    assert 0.002 < float(touched) < 0.15
    assert found.groups[GROUPS.index("marks")]
    gray = fade(clean, amount=1.0, warmth=0.0, contrast=1.0, black=0.0)
    assert float(gray.std(dim=0).max()) < 1e-6
    flat = fade(clean, amount=0.0, warmth=0.0, contrast=0.5, black=0.2)
    torch.testing.assert_close(flat, 0.2 + 0.8 * 0.5 * clean)
    brown = fade(clean, amount=1.0, warmth=1.0, contrast=1.0, black=0.0).mean(dim=(1, 2))
    assert float(brown[0]) > float(brown[1]) > float(brown[2])
    with pytest.raises(UsageError, match="specks is 1"):
        dust_and_scratches(clean, seed=0, specks=1)
    with pytest.raises(UsageError, match="warmth is 2"):
        fade(clean, amount=0, warmth=2, contrast=1, black=0)


def test_clean_is_left_alone() -> None:
    found = faulty(photo(), "clean", 1)
    assert torch.equal(found.degraded, photo())
    assert torch.equal(found.target, photo())
    assert not any(found.groups)


def test_a_tone_curve_is_that_of_its_formula() -> None:
    values = tone_curve(photo(), gamma=1.0, bend=1.0).double()
    x = photo().double()
    torch.testing.assert_close(values, 3 * x**2 - 2 * x**3, rtol=0, atol=1e-6)


def test_resizing_and_back_loses_detail_and_keeps_the_size() -> None:
    board = (torch.arange(40)[:, None] + torch.arange(50)).remainder(2).float().expand(3, -1, -1)
    for up in ("bicubic", "bilinear"):
        found = resized_and_back(board, factor=2.0, down="area", up=up)
        assert found.shape == board.shape
        assert float(found.std()) < 0.1


def test_white_stays_within_the_range_when_it_is_resized() -> None:
    """The weights of 41 pixels enlarged to 96 add up to a little more than 1 in float32."""
    white = torch.ones(3, 96, 96)
    for up in ("bilinear", "bicubic"):
        steps = (Step("resize", {"factor": 2.3435, "down": "area", "up": up}),)
        assert float(apply_steps(white, steps, 0).degraded.max()) == 1


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UsageError, match="no degradation 'fog'"):
        faulty(photo(), "fog", 0)
    with pytest.raises(UsageError, match="no step 'fog'"):
        apply_steps(photo(), (Step("fog"),), 0)
    with pytest.raises(UsageError, match="seed"):
        draw_mixture(-1)


# ---------------------------------------------------------------- drawings


def test_drawings_repeat_and_are_of_many_kinds(tmp_path: Path) -> None:
    base = photo(128, 128)
    drawn = [draw_over(base, seed) for seed in range(40)]
    assert all(torch.equal(image, draw_over(base, seed)) for seed, image in enumerate(drawn[:8]))
    shapes = {tuple(image.shape) for image in drawn}
    assert shapes == {(3, 128, 128)}
    assert all(float(image.min()) >= 0 and float(image.max()) <= 1 for image in drawn)
    different = [float((image - base).abs().mean()) for image in drawn]
    assert min(different) > 0
    assert max(different) > 0.2
    kept = [float(((image - base).abs() < 1e-6).float().mean()) for image in drawn]
    assert max(kept) > 0.5  # dots upon the photo leave most of it
    # Another reader finds the same levels: they are of 8 bits.
    levels = (drawn[0] * 255).round().byte().permute(1, 2, 0).numpy()
    write_image(tmp_path / "drawn.png", levels)
    read = np.asarray(Image.open(tmp_path / "drawn.png")).astype(np.float32) / 255
    assert np.abs(read - drawn[0].permute(1, 2, 0).numpy()).max() < 1e-6


def test_drawings_fit_small_and_oblong_pictures() -> None:
    for seed in range(24):
        assert draw_over(photo(40, 64), seed).shape == (3, 40, 64)
