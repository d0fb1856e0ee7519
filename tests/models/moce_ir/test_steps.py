"""Sharp steps along a supposed motion rule the motion out."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pixperts.inference.restorer import Restorer
from pixperts.io.image import read_image
from pixperts.models.moce_ir.motion import MotionStage
from pixperts.models.moce_ir.steps import can_be_motion, step_sums
from pixperts.ops.windows import Window
from tests.helpers.places import EXAMPLES
from tests.models.moce_ir.test_motion import blurred, scene

SIDE = 256


def light_of(image: Tensor) -> Tensor:
    """(3, H, W) -> (1, H, W) linear gray."""
    return (image.mean(dim=0, keepdim=True)).clamp(0, 1) ** 2.2


def possible(image: Tensor, length: float, angle: float) -> bool:
    light = light_of(image)
    sums = step_sums(light, Window(0, light.shape[1], 0, light.shape[2]))
    return bool(can_be_motion(*sums, torch.tensor([length]), torch.tensor([angle])))


def hatching(degrees: float, period: float, *, smooth: bool = False) -> Tensor:
    """Black lines 1.2 pixels wide on white, (3, H, W)."""
    fine = 4 if smooth else 1
    y, x = np.mgrid[: SIDE * fine, : SIDE * fine] / fine
    turn = math.radians(degrees)
    across = (x * math.sin(turn) + y * math.cos(turn)) % period
    page = np.where(across < 1.2, 0.0, 1.0)
    page = page.reshape(SIDE, fine, SIDE, fine).mean(axis=(1, 3))
    return torch.from_numpy(page).float().expand(3, SIDE, SIDE).contiguous()


@pytest.mark.parametrize("length", [5.0, 9.0, 19.0])
@pytest.mark.parametrize("angle", [0.0, 37.0, 80.0, 143.0])
def test_a_motion_leaves_no_steps_along_itself(length: float, angle: float) -> None:
    sharp = scene(SIDE, SIDE)
    moved = blurred(sharp, length, angle)
    assert possible(moved, length, angle)
    assert possible(0.4 + 0.3 * moved, length, angle)  # pale
    assert not possible(sharp, length, angle)
    assert not possible(moved, 19.0, angle + 90)  # the edges beside the path are as they were


@pytest.mark.parametrize(("degrees", "period"), [(45, 6), (60, 4), (30, 8), (10, 5)])
@pytest.mark.parametrize("smooth", [False, True])
def test_hatching_is_no_motion(degrees: float, period: float, smooth: bool) -> None:
    page = hatching(degrees, period, smooth=smooth)
    along = degrees  # x sin + y cos is constant along it, y pointing down
    for turned in (30, 60, 90, 120, 150):
        assert not possible(page, 6.0, along + turned)
        if turned in (60, 90, 120):  # gray pencil on gray paper
            assert not possible(0.4 + 0.4 * page, 6.0, along + turned)


def test_tiles_count_what_the_whole_counts() -> None:
    light = light_of(scene(90, 120))
    whole = step_sums(light, Window(0, 90, 0, 120))
    assert float(whole[1].sum()) == 86 * 116
    parts = []
    for top, bottom in ((0, 40), (40, 90)):
        for left, right in ((0, 70), (70, 120)):
            start, beside = max(0, top - 8), max(0, left - 8)
            tile = light[:, start : bottom + 8, beside : right + 8]
            inner = Window(top - start, bottom - start, left - beside, right - beside)
            parts.append(step_sums(tile, inner))
    for number in (0, 1):
        total = torch.stack([part[number] for part in parts]).sum(dim=0)
        assert torch.equal(total, whole[number])


def test_pictures_too_small_to_count_are_left_alone() -> None:
    light = torch.rand(2, 4, 9)
    steps, values = step_sums(light, Window(0, 4, 0, 9))
    assert float(steps.sum()) == 0 == float(values.sum())


@pytest.mark.slow
def test_the_packaged_stage_undoes_motion_and_leaves_hatching() -> None:
    model = Restorer.load("moce-ir-tiny", device="cpu").model
    stage = next(part for part in model.modules() if isinstance(part, MotionStage))
    photo = torch.from_numpy(read_image(EXAMPLES / "colosseum.jpg").pixels).permute(2, 0, 1)
    moved = blurred(photo.float() / 255, 11.0, 30.0)
    assert not torch.equal(stage(moved[None])[0][0], moved)
    for degrees, period in ((45, 6), (60, 4), (30, 8), (10, 5)):
        page = hatching(degrees, period)
        assert torch.equal(stage(page[None])[0][0], page)
