"""Choices that the frames of a scene share."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pixperts.inference.enhancer import Enhancer, held_between
from pixperts.inference.findings import RepairSettings
from pixperts.inference.restorer import Restorer
from pixperts.inference.size_request import SizeRequest
from pixperts.inference.streams import ArraySink, ArraySource
from pixperts.inference.upscaler import Upscaler
from pixperts.io.arrays import to_tensor
from pixperts.jobs.clips.steady import hold, typical
from pixperts.jobs.enhance import Enhance
from pixperts.jobs.operations import Restore, Upscale
from pixperts.jobs.run import run_folder
from pixperts.models.interfaces import PairedNetwork
from pixperts.ops.pixels import Pixels
from pixperts.video.clip import read_clip
from pixperts.video.frames import survey
from tests.helpers.clip_jobs import Noted, decoded, run
from tests.helpers.clips import look, moving, write_clip
from tests.helpers.light_models import paired
from tests.helpers.light_restoration import light_restorer
from tests.helpers.one_network import one_network
from tests.helpers.tiny_models import restorer, upscaler


class TestRepair:
    """Choices are those of the scene, and motion blur stays."""

    def test_the_scene_decides(
        self, tmp_path: Path, encoded: list[Pixels], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        frames = [*moving(4, 32, 40, seed=1), *moving(4, 32, 40, seed=2)]
        source = write_clip(tmp_path / "a.mp4", frames)
        restorer = light_restorer()
        noted = Noted()
        assert run(source, tmp_path / "b.mp4", Restore(tone="on"), restorer, noted) == []
        assert len(encoded) == 8
        report = noted.outcomes[0].report
        assert report is not None
        assert (report.scenes, report.frames) == (2, 8)  # type: ignore[attr-defined]
        single = [restorer.restore(pixels, tone="on") for pixels in decoded(source)]
        # By itself, each frame would be judged a little differently.
        assert not all(np.array_equal(*pair) for pair in zip(encoded, single, strict=True))
        still = write_clip(tmp_path / "c.mp4", [frames[0]] * 3, options={"crf": "0"})
        encoded.clear()
        assert run(still, tmp_path / "d.mp4", Restore(tone="on"), restorer) == []
        single = [restorer.restore(pixels, tone="on") for pixels in decoded(still)]
        for made, one in zip(encoded, single, strict=True):
            assert np.abs(made.astype(int) - one).max() <= 1

    def test_motion_blur_stays(self, tmp_path: Path, repairer: Restorer) -> None:
        source = write_clip(tmp_path / "a.mp4", moving(2, 32, 32))
        noted = Noted()
        assert run(source, tmp_path / "b.mp4", Restore(), repairer, noted) == []
        report = noted.outcomes[0].report
        assert report is not None
        assert any("may flicker; moce-ir-light keeps" in note for note in report.notes)

    @pytest.mark.slow
    def test_the_default_model(self, tmp_path: Path, encoded: list[Pixels]) -> None:
        source = write_clip(tmp_path / "a.mp4", moving(2, 32, 40))
        restorer = Restorer.load("moce-ir-light", device="cpu", precision="float32")
        noted = Noted()
        assert run(source, tmp_path / "b.mp4", Restore(), restorer, noted) == []
        report = noted.outcomes[0].report
        assert report is not None
        assert report.notes == [
            "Motion blur stays in videos: undone frame by frame, it would flicker."
        ]
        assert len(encoded) == 2


@pytest.mark.parametrize("models", [2, 1])
def test_enhancing_repairs_and_enlarges(
    tmp_path: Path, model: Upscaler, encoded: list[Pixels], models: int
) -> None:
    source = write_clip(tmp_path / "a.mp4", moving(3, 32, 40))
    heard = Noted()
    both = Enhancer(light_restorer(motion=True), model)
    if models == 1:
        both = Enhancer(restorer(one_network(motion=True)))
    run_folder(source, tmp_path / "b.mp4", Enhance(SizeRequest(scale=2)), both, listener=heard)
    assert heard.errors == []
    assert look(tmp_path / "b.mp4").sizes == {(80, 64)}
    report = heard.outcomes[0].report
    assert report is not None
    assert any("Motion blur stays" in note for note in report.notes)
    clip = read_clip(source)
    scene = hold(both, clip, survey(clip), 0, (80, 64)).of(0)
    assert scene.statistics is not None
    for made, pixels in zip(encoded, decoded(source), strict=True):
        tensor, back = to_tensor(pixels)
        sink, between = ArraySink(1, 3, 64, 80), held_between(ArraySource(tensor))
        settings = RepairSettings(motion=False)
        both.enhance_rows(
            ArraySource(tensor), sink, (80, 64), between, settings, statistics=scene.statistics
        )
        assert np.array_equal(made, back(sink.image))


@pytest.mark.parametrize("models", [1, 2])
def test_frames_of_a_scene_take_one_of_two_networks(
    tmp_path: Path, encoded: list[Pixels], models: int
) -> None:
    rough = moving(3, 32, 40, seed=1)
    flat = [(pixels // 32 + 20).astype(np.uint8) for pixels in moving(3, 32, 40, seed=2)]
    source = write_clip(tmp_path / "a.mp4", [*rough, *flat])
    shown = [to_tensor(pixels)[0] for pixels in decoded(source)]
    photo = upscaler(paired(shown[3][0], shown[0][0]), precision="float32")
    both: Upscaler | Enhancer = photo
    if models == 2:
        both = Enhancer(light_restorer(), photo)
    clip = read_clip(source)
    timeline = survey(clip)
    found = hold(both, clip, timeline, 0, (80, 64))
    members = [found.of(timeline.scene_of(number)).member for number in range(len(timeline))]
    assert members == [1, 1, 1, 0, 0, 0]
    errors = [photo.estimated_errors(ArraySource(frame), (80, 64)) for frame in shown]
    for frames, expected in ((errors[:3], 1), (errors[3:], 0)):
        known = [one[0] for one in frames if one is not None]
        assert isinstance(photo.model, PairedNetwork)
        assert photo.model.pick(torch.stack(known).sum(dim=0)) == expected
    heard = Noted()
    to = tmp_path / "b.mp4"
    if models == 2:
        run_folder(source, to, Enhance(SizeRequest(scale=2)), both, listener=heard)
    else:
        run_folder(source, to, Upscale(SizeRequest(scale=2)), photo, listener=heard)
    assert heard.errors == []
    for number, (made, tensor) in enumerate(zip(encoded, shown, strict=True)):
        sink = ArraySink(1, 3, 64, 80)
        member = members[number]
        if isinstance(both, Enhancer):
            both.enhance_rows(
                ArraySource(tensor), sink, (80, 64), held_between(ArraySource(tensor)),
                RepairSettings(motion=False),
                statistics=found.of(timeline.scene_of(number)).statistics, member=member,
            )  # fmt: skip
        else:
            photo.upscale_rows(ArraySource(tensor), sink, (80, 64), member=member)
        back = to_tensor(decoded(source)[0])[1]
        assert np.array_equal(made, back(sink.image))


def test_a_typical_frame_is_none_of_those_apart(tmp_path: Path) -> None:
    restorer = light_restorer()
    light = [torch.full((1, 3, 32, 32), value) for value in (0.5, 0.52, 0.9, 0.48, 0.1)]
    looks = [restorer.count(ArraySource(picture)) for picture in light]
    assert typical(looks) is looks[0]
