"""Training samples of moce-ir-light: patches lie where they say, targets fit, seeds repeat."""

import numpy as np
import torch
from torch import Tensor

from pixperts.data.scenes import DegradedScenes

OPTIONS = {"side": 64, "patch": 32, "patches": 3}


def photos() -> list[Tensor]:
    random = np.random.default_rng(0)
    coarse = torch.from_numpy(random.integers(0, 256, (2, 3, 20, 24))).float()
    large = torch.nn.functional.interpolate(coarse, size=(160, 192), mode="bicubic")
    return list(large.clamp(0, 255).byte())


def scenes(tasks: dict[str, float], **changes: object) -> DegradedScenes:
    return DegradedScenes(photos(), tasks=tasks, **(OPTIONS | changes))  # type: ignore[arg-type]


def test_a_number_gives_the_same_sample() -> None:
    data = scenes({"mixture": 1, "drawn": 1, "clean": 1}, reduction=2.0, seed=3)
    for number in range(8):
        for one, two in zip(data[number], data[number], strict=True):
            assert torch.equal(one, two)
    other = scenes({"mixture": 1, "drawn": 1, "clean": 1}, reduction=2.0, seed=4)
    assert any(not torch.equal(data[n].degraded, other[n].degraded) for n in range(8))


def test_targets_of_clean_scenes_are_the_patches() -> None:
    data = scenes({"clean": 1})
    for number in range(6):
        sample = data[number]
        assert sample.degraded.shape == (3, 64, 64)
        assert sample.degraded.dtype == torch.uint8
        assert sample.targets.shape == (3, 3, 3, 32, 32)
        for targets, (top, left) in zip(sample.targets, sample.places.tolist(), strict=True):
            patch = sample.degraded[:, top : top + 32, left : left + 32]
            assert all(torch.equal(target, patch) for target in targets)
        assert not sample.groups.any()


def test_most_patches_begin_at_the_grid_of_jpeg() -> None:
    data = scenes({"clean": 1})
    places = torch.cat([data[number].places for number in range(60)])
    on_grid = (places % 8 == 0).all(dim=1).float().mean()
    assert 0.6 < float(on_grid) < 0.95


def test_a_patch_and_its_target_differ_by_the_noise() -> None:
    data = scenes({"noise25": 1})
    for number in range(4):
        sample = data[number]
        top, left = sample.places[0].tolist()
        patch = sample.degraded[:, top : top + 32, left : left + 32].float()
        uncompressed, denoised, target = sample.targets[0].float()
        assert 12 < float((patch - target).std()) < 28
        assert torch.equal(uncompressed, patch)
        assert torch.equal(denoised, target)
        assert sample.groups.tolist() == [1, 0, 0, 0, 0]


def test_haze_shows_a_whole_view_and_tasks_follow_their_weights() -> None:
    data = scenes({"haze": 1, "clean": 3}, reduction=2.0)
    tasks = torch.stack([data[number].task for number in range(200)])
    assert 0.15 < float((tasks == 0).float().mean()) < 0.36
    hazy = next(data[number] for number in range(20) if int(tasks[number]) == 0)
    assert hazy.groups.tolist() == [0, 0, 1, 0, 0]
    top, left = hazy.places[0].tolist()
    # Detail's target keeps the haze.
    assert torch.equal(hazy.targets[0, -1], hazy.degraded[:, top : top + 32, left : left + 32])


def test_some_scenes_are_reduced_much_and_mirrored() -> None:
    data = scenes({"clean": 1}, reduction=2.0, small=0.2)
    samples = [data[number].degraded for number in range(150)]
    mirrored = [s for s in samples if torch.equal(s, s.flip(2)) and torch.equal(s, s.flip(1))]
    assert 0.1 < len(mirrored) / len(samples) < 0.3
    plain = scenes({"clean": 1}, reduction=2.0)
    assert not any(torch.equal(s, s.flip(2)) for s in (plain[n].degraded for n in range(60)))


def test_screens_are_drawings_that_were_compressed_or_not() -> None:
    data = scenes({"screen": 1})
    samples = [data[number] for number in range(40)]
    compressed = [bool(sample.groups[0]) for sample in samples]
    assert 0.5 < sum(compressed) / len(samples) < 0.9
    for sample, faulty in zip(samples, compressed, strict=True):
        top, left = sample.places[0].tolist()
        patch = sample.degraded[:, top : top + 32, left : left + 32]
        uncompressed, denoised, target = sample.targets[0]
        assert torch.equal(uncompressed, target)  # all that is undone is the compression
        assert torch.equal(denoised, target)
        assert faulty or torch.equal(patch, target)
        assert sample.groups.tolist() == [float(faulty), 0, 0, 0, 0]
