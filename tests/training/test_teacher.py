"""Learning from a teacher that sees each patch turned: the same points, on average of eight."""

import dataclasses
from pathlib import Path

import pytest
import torch

from pixperts.data.super_resolution import Sample
from pixperts.errors import UsageError
from pixperts.models.moeisr.model import MoEISR
from pixperts.models.presets import create_model
from pixperts.training.config import TrainConfig, UpscalingConfig
from pixperts.weights import store
from tests.helpers.training_runs import RUNS, make_photos

pytest.importorskip("lightning", reason="needs the train extra: pip install 'pixperts[train]'")

from pixperts.training.upscaling import UpscalingModule, turned
from tests.helpers.tiny_models import moeisr

OPTIONS = RUNS["enlarging"]["model_options"] | {"depths": [1], "widths": [8]}


@pytest.mark.parametrize("turn", range(8))
def test_a_query_asks_for_the_same_point_of_a_turned_picture(turn: int) -> None:
    picture = torch.arange(3 * 5 * 5, dtype=torch.float32).reshape(3, 5, 5)
    positions = torch.cartesian_prod(torch.arange(5), torch.arange(5))
    other, moved, size = turned(picture, positions, torch.tensor([5, 5]), turn)
    asked = other[:, moved[:, 0], moved[:, 1]]
    assert torch.equal(asked, picture[:, positions[:, 0], positions[:, 1]])
    assert size.tolist() == [5, 5]


def test_the_eight_turns_differ_and_sizes_are_swapped_with_the_axes() -> None:
    picture = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(0))
    size, positions = torch.tensor([6, 9]), torch.tensor([[0, 0], [5, 8], [1, 2]])
    seen = [turned(picture, positions, size, turn) for turn in range(8)]
    assert len({tuple(lr.flatten().tolist()) for lr, _, _ in seen}) == 8
    for turn, (_, moved, turned_size) in enumerate(seen):
        assert turned_size.tolist() == ([9, 6] if turn & 4 else [6, 9])
        assert (moved >= 0).all()
        assert (moved < turned_size).all()
    assert seen[5][1].tolist() == [[0, 5], [8, 0], [2, 4]]  # rows mirrored, then both swapped


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> tuple[UpscalingConfig, MoEISR]:
    """A run whose only target are a small network's colours, and that network."""
    folder = make_photos(tmp_path_factory.mktemp("teacher") / "photos")
    torch.manual_seed(1)
    teacher = moeisr(create_model("moeisr-tiny", **OPTIONS))
    path = folder.with_name("teacher.safetensors")
    store.save(path, teacher, store.Card(name="moeisr-tiny", config={}))
    values = {"model": "moeisr-tiny", "model_options": OPTIONS, "photos": [str(folder)]}
    values |= {"teacher": str(path), "teacher_weight": 1.0, "teacher_turned": True}
    config = TrainConfig.from_dict(values, "test")
    assert isinstance(config, UpscalingConfig)
    return config, teacher.eval()


def of_one_patch(count: int) -> Sample:
    """The same 6 x 6 patch so many times, asked for every pixel of its 9 x 9 output."""
    lr = torch.rand(3, 6, 6, generator=torch.Generator().manual_seed(0))
    positions = torch.cartesian_prod(torch.arange(9), torch.arange(9))
    sample = Sample(lr, positions, torch.tensor([9, 9]), torch.zeros(81, 3))
    return Sample(*(part.expand(count, *part.shape) for part in sample))


def test_eight_samples_are_taught_the_eight_turns(
    setting: tuple[UpscalingConfig, MoEISR],
) -> None:
    config, teacher = setting
    task = UpscalingModule(config)
    task._numbers = range(16, 24)
    batch = of_one_patch(8)
    target = task.target(batch).reshape(8, 9, 9, 3)
    with torch.no_grad():
        for turn in range(8):
            axes = [axis for axis, bit in ((2, 1), (3, 2)) if turn & bit]
            lr = batch.lr[:1].flip(axes)
            lr = lr.transpose(2, 3) if turn & 4 else lr
            image = teacher(lr, (9, 9)).image
            image = image.transpose(2, 3) if turn & 4 else image
            expected = image.flip(axes)[0].permute(1, 2, 0)
            assert torch.allclose(target[turn], expected, atol=1e-5)
    assert (target[0] - target[1]).abs().max() > 1e-3  # as the network is no symmetric one


def test_an_unturned_teacher_teaches_every_sample_the_same(
    setting: tuple[UpscalingConfig, MoEISR],
) -> None:
    config, _ = setting
    task = UpscalingModule(dataclasses.replace(config, teacher_turned=False))
    task._numbers = range(8)
    target = task.target(of_one_patch(8))
    assert torch.allclose(target, target[:1].expand_as(target), atol=1e-6)


def test_turns_without_a_teacher_are_refused(tmp_path: Path) -> None:
    values = {"model": "moeisr-tiny", "photos": [str(tmp_path)], "teacher_turned": True}
    with pytest.raises(UsageError, match="teacher_turned is set, but there is no teacher"):
        TrainConfig.from_dict(values, "test")
