"""The stage that sees straight motion blur and undoes it."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from pixperts.cli.app import main
from pixperts.degradations.blur import motion_blur
from pixperts.evaluation.metrics import psnr
from pixperts.inference.analysis import analyze, signature
from pixperts.inference.restorer import Restorer
from pixperts.models.moce_ir.model import MoCEIR
from pixperts.models.moce_ir.motion import (
    LONGEST,
    RADIUS,
    REACH,
    MotionStage,
    cepstrum,
    cepstrum_sums,
    inverse_filter,
    undone,
)
from pixperts.ops.kernels import line_kernel
from pixperts.ops.windows import Window
from pixperts.weights import store
from tests.helpers.moce_models import mini


def scene(height: int, width: int, seed: int = 0) -> Tensor:
    """Rectangles upon rectangles (3, H, W), with edges in every direction after turning."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    image = np.full((3, height, width), 0.5)
    for _ in range(height * width // 300):
        angle = random.uniform(0, math.pi)
        along = (x - random.uniform(0, width)) * math.cos(angle)
        along += (y - random.uniform(0, height)) * math.sin(angle)
        across = (x - random.uniform(0, width)) * math.sin(angle)
        across -= (y - random.uniform(0, height)) * math.cos(angle)
        inside = (abs(along) < random.uniform(2, 12)) & (abs(across) < random.uniform(2, 12))
        image = np.where(inside, random.uniform(0.05, 0.95, (3, 1, 1)), image)
    return torch.from_numpy(image.astype(np.float32))


def blurred(clean: Tensor, length: float, angle: float) -> Tensor:
    image = motion_blur(clean, length=length, angle=angle, gamma=2.2)
    return (image * 255).round() / 255


def shaken(height: int, width: int) -> Tensor:
    """A scene (3, H, W) that moved as the stage of `moving` believes."""
    return blurred(scene(height, width), 9, 30)


def convinced(length: float, angle: float, none: float = 0.0) -> MotionStage:
    """A stage that believes in one motion whatever it sees."""
    stage = MotionStage().eval()
    column = round(length * math.cos(math.radians(angle)))
    row = round(-length * math.sin(math.radians(angle)))
    place = 1 + (row + LONGEST) * (LONGEST + 1) + column
    for parameter in stage.parameters():
        parameter.zero_()
    stage.whole.bias[place] = 30.0
    stage.whole.bias[0] = 30.0 + math.log(none / (1 - none)) if none else 0.0
    return stage


# ---------------------------------------------------------------- seeing


@pytest.mark.parametrize(("length", "angle"), [(7.0, 0.0), (12.0, 50.0), (15.0, 110.0)])
@pytest.mark.slow
def test_blur_digs_a_hole_into_the_cepstrum_where_the_motion_ends(
    length: float, angle: float
) -> None:
    clean = scene(320, 320)
    after = cepstrum(cepstrum_sums(blurred(clean, length, angle)[None]))
    difference = (after - cepstrum(cepstrum_sums(clean[None])))[0, 0]
    difference[:, :3][REACH - 2 : REACH + 3] = 0  # the middle: all lengths are dark there
    place = int(difference.argmin())
    row, column = place // (REACH + 1) - REACH, place % (REACH + 1)
    expected = (
        length * math.cos(math.radians(angle)),
        -length * math.sin(math.radians(angle)),
    )
    away = min(math.dist((column, row), expected), math.dist((-column, -row), expected))
    assert away <= 1.5


def test_the_sums_of_tiles_are_those_of_the_whole() -> None:
    image = torch.rand(2, 3, 300, 260)
    whole = cepstrum_sums(image)
    assert whole[2].tolist() == [[8 * 7], [8 * 7]]  # (300 - 64) // 32 + 1 by (260 - 64) // 32 + 1
    parts = [
        cepstrum_sums(image[:, :, :224, :224], Window(0, 160, 0, 160)),
        cepstrum_sums(image[:, :, :224, 96:], Window(0, 160, 64, 164)),
        cepstrum_sums(image[:, :, 96:, :224], Window(64, 204, 0, 160)),
        cepstrum_sums(image[:, :, 96:, 96:], Window(64, 204, 64, 164)),
    ]
    for expected, *found in zip(whole, *parts, strict=True):
        torch.testing.assert_close(sum(found), expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (63, 400), (95, 1000), (96, 100)])
def test_small_pictures_count_as_still(size: tuple[int, int]) -> None:
    """Fewer windows than the sixteen that are needed, or none at all."""
    image = blurred(torch.rand(3, *size), 9, 30)[None]
    result, motion = convinced(9, 30)(image)
    if size[1] < 1000:
        assert motion.none.tolist() == [1.0]
        assert torch.equal(result, image)
    else:
        assert motion.none[0] < 1e-6  # one row of thirty windows


def test_a_vector_between_cells_is_told_to_a_fraction() -> None:
    stage = convinced(10, 0)
    stage.whole.bias[1 + LONGEST * (LONGEST + 1) + 11] = 30.0  # as sure of 11 pixels
    motion = stage.estimate(scene(160, 160)[None])
    assert float(motion.length) == pytest.approx(10.5, abs=1e-3)
    assert float(motion.angle) == pytest.approx(0.0, abs=1e-3)


def test_a_vertical_motion_is_one_vector_although_it_lies_on_the_edge() -> None:
    stage = convinced(10, 90)
    # (1, 10 down) is (-1, 10 up): beside (0, 10 up) on the other side.
    for row, column in ((-10, 1), (10, 1)):
        stage.whole.bias[1 + (row + LONGEST) * (LONGEST + 1) + column] = 29.0
    motion = stage.estimate(scene(160, 160)[None])
    assert float(motion.length) == pytest.approx(10.0, abs=0.05)
    assert abs(float(motion.angle)) == pytest.approx(90.0, abs=0.1)


def test_an_untrained_stage_leaves_every_picture_alone() -> None:
    torch.manual_seed(3)
    images = torch.stack([scene(160, 192, seed) for seed in range(3)])
    for seed in range(5):
        torch.manual_seed(seed)
        result, motion = MotionStage().eval()(images)
        assert torch.equal(result, images)
        assert float(motion.none.min()) > 0.5


# ---------------------------------------------------------------- undoing


def test_the_inverse_of_a_blur_is_nearly_an_identity() -> None:
    kernel = torch.from_numpy(line_kernel(9.0, 25.0))
    weights = inverse_filter(9.0, 25.0)
    assert weights.shape == (2 * RADIUS + 1, 2 * RADIUS + 1)
    assert float(weights.sum()) == pytest.approx(1.0)
    assert torch.allclose(weights, weights.flip(0, 1))  # even, so nothing moves
    both = torch.nn.functional.conv2d(weights[None, None], kernel[None, None], padding=len(kernel))
    middle = both[0, 0, both.shape[2] // 2, both.shape[3] // 2]
    others = both[0, 0].abs().flatten().sort(descending=True).values[1:]
    assert float(middle) > 1.5 * float(others[0])  # all along the line were equal before
    assert float(middle) > 2 * float(kernel.max())


@pytest.mark.parametrize(("length", "angle"), [(6.0, 0.0), (10.0, 140.0), (18.0, 65.0)])
def test_a_known_motion_is_undone(length: float, angle: float) -> None:
    clean = scene(160, 200)
    image = blurred(clean, length, angle)
    gain = psnr(undone(image, length, angle), clean, "rgb") - psnr(image, clean, "rgb")
    assert gain > 1.0


def test_what_is_far_away_has_no_say() -> None:
    """So a tile with enough context is filtered as the whole."""
    image = scene(200, 200)
    other = image.clone()
    other[:, 100 + RADIUS + 1 :] = 0.2
    first, second = undone(image, 12.0, 30.0), undone(other, 12.0, 30.0)
    torch.testing.assert_close(first[:, :101], second[:, :101], rtol=0, atol=1e-5)
    assert not torch.allclose(first[:, 120:133], second[:, 120:133], atol=1e-2)


def test_a_batch_is_filtered_picture_by_picture() -> None:
    stage = MotionStage().eval()
    torch.manual_seed(0)
    for parameter in stage.parameters():
        parameter.normal_(0.0, 1.0)
    stage.whole.bias[0] = 0.0
    images = torch.stack([scene(160, 192, seed) for seed in range(4)])
    together, motion = stage(images)
    for number, image in enumerate(images):
        alone, own = stage(image[None])
        torch.testing.assert_close(alone[0], together[number], rtol=0, atol=1e-5)
        torch.testing.assert_close(own.none[0], motion.none[number], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("none", "changed"), [(0.001, True), (0.05, False)])
def test_only_what_is_surely_blurred_is_touched(none: float, changed: bool) -> None:
    image = blurred(scene(160, 160), 9, 0)[None]
    result, motion = convinced(9, 0, none)(image)
    assert float(motion.none) == pytest.approx(none, rel=0.01)
    assert torch.equal(result, image) != changed


# ---------------------------------------------------------------- in the network


def moving(length: float = 9, angle: float = 30) -> MoCEIR:
    model = mini(motion=True)
    model.motion = convinced(length, angle)
    return model


@pytest.mark.slow
def test_the_network_sees_the_picture_without_the_motion() -> None:
    model, plain = moving(), mini()
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if k[:7] != "motion."})
    image = shaken(160, 192)[None]
    with torch.inference_mode():
        motion = moving().motion.estimate(image)  # type: ignore[union-attr]
        length, angle = float(motion.length), float(motion.angle)
        assert length == pytest.approx(math.hypot(8, 4), abs=1e-3)
        found, expected = model(image), plain(undone(image[0], length, angle)[None])
        torch.testing.assert_close(found.image, expected.image)
        assert float((found.image - plain(image).image).abs().mean()) > 0.02


@pytest.mark.slow
def test_tiles_see_the_motion_of_the_whole() -> None:
    clean = shaken(256, 224)
    card = store.Card("mini", {})
    restorer = Restorer(moving(), card, device="cpu")
    once = restorer.restore(clean)
    tiled = Restorer(moving(), card, device="cpu", tile=128).restore(clean)
    assert float((once - tiled).abs().mean()) * 255 < 1.0
    still = Restorer(mini(), card, device="cpu")
    assert float((still.restore(clean) - once).abs().mean()) * 255 > 2.0
    assert isinstance(restorer.model, MoCEIR)
    statistics = restorer.model.survey(clean[None])[1]
    assert statistics.places[0][2].tolist() == [[7 * 6]]  # (256 - 64) / 32 + 1, (224 - 64) / 32 + 1


@pytest.mark.slow
def test_the_stage_is_not_trained_with_the_rest() -> None:
    model = moving().train()
    image = scene(160, 160)[None].requires_grad_()
    model(image).image.mean().backward()
    assert not any(p.requires_grad for p in model.motion.parameters())  # type: ignore[union-attr]
    assert model.output.weight.grad is not None


@pytest.mark.slow
def test_the_stage_sees_the_same_in_training() -> None:
    """Its dropout is for its own training, and nothing is drawn from torch's own generator."""
    torch.manual_seed(0)
    model, image = mini(motion=True), scene(160, 160)[None]
    with torch.no_grad():
        model.motion.whole.weight.normal_()  # type: ignore[union-attr]
    expected = model.eval()(image).routings[0].motion
    before = torch.get_rng_state()
    found = model.train()(image, noise=False).routings[0].motion
    assert torch.equal(found, expected)
    assert torch.equal(torch.get_rng_state(), before)


def test_windows_of_tiles_fall_on_those_of_the_whole() -> None:
    model = moving()
    routings = model(scene(96, 96)[None]).routings
    assert model.window_grid(routings) % 32 == 0


@pytest.mark.slow
def test_the_weights_are_counted() -> None:
    stage = MotionStage()
    count = sum(p.numel() for p in stage.parameters())
    with_it, without = (
        sum(p.numel() for p in model.parameters()) for model in (mini(motion=True), mini())
    )
    assert with_it - without == count
    more = moving().multiply_adds((512, 512))["total"] - mini().multiply_adds((512, 512))["total"]
    assert 0 < more < 40e6  # a five-hundredth of what moce-ir-tiny takes for the same picture


def test_half_precision() -> None:
    image = blurred(scene(160, 160), 9, 30)
    stage = convinced(9, 30)
    with torch.autocast("cpu", torch.bfloat16):
        half, _ = stage(image[None])
    torch.testing.assert_close(half, stage(image[None])[0], rtol=0, atol=1e-4)
    assert stage(image[None].bfloat16())[0].dtype == torch.bfloat16


@pytest.mark.slow
def test_what_was_undone_is_told() -> None:
    restorer = Restorer(moving(), store.Card("mini", {}), device="cpu")
    found = analyze(restorer, shaken(160, 160))
    assert found.motion == pytest.approx((8.944, 26.565), abs=0.01)  # (8, 4) pixels
    first = found.to_text().splitlines()[0]
    assert first == "motion blur of 8.9 pixels at 27 degrees undone first"
    assert found.to_dict()["motion"] == found.motion
    restorer = Restorer(mini(motion=True), store.Card("mini", {}), device="cpu")
    still = analyze(restorer, scene(160, 160))
    assert still.motion is None
    assert "motion" not in still.to_text()


@pytest.mark.slow
def test_signatures_tell_of_the_motion_too() -> None:
    image = shaken(160, 160)[None]
    seen = [signature(model(image).routings) for model in (moving(), mini(motion=True))]
    assert [len(row) for row in seen] == [32 + 16 + 16 + 8 + 1] * 2
    assert seen[0][-1] == pytest.approx(math.log(1e-5), abs=1e-3)  # bounded
    assert seen[1][-1] > 0
    assert len(signature(mini()(image).routings)) == 72


@pytest.mark.slow
def test_a_repair_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights, source = tmp_path / "m.safetensors", tmp_path / "a.png"
    store.save(weights, moving(), store.Card("m", {}))
    pixels = (shaken(160, 160) * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(source)
    line = ["restore", str(source), "-m", str(weights), "-o"]
    assert main([*line, str(tmp_path / "b.png")]) == 0
    said = ", motion blur of 8.9 pixels at 27 degrees undone"
    assert capsys.readouterr().err.strip().endswith(said)
    assert main([*line, str(tmp_path / "c.png"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["motion"] == [8.94, 26.57]
