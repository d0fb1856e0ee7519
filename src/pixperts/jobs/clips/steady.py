"""Choices that all frames of a scene share, so that results do not flicker."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pixperts.inference.enhancer import Enhancer
from pixperts.inference.predictor import AnyPredictor
from pixperts.inference.reduction import kept_size
from pixperts.inference.restorer import Restorer
from pixperts.inference.streams import ArraySource
from pixperts.inference.upscaler import Upscaler
from pixperts.io.arrays import to_tensor
from pixperts.jobs.job import Scene
from pixperts.models.interfaces import PairedNetwork, ScoutedNetwork
from pixperts.models.moce_ir.statistics import Statistics
from pixperts.video.clip import Clip
from pixperts.video.frames import Timeline, read_frames

SAMPLES = 5  # frames of a scene that are examined, spread evenly over it


@dataclass(frozen=True)
class Steadiness:
    """What stays the same within each scene of a video.

    Attributes:
        scenes: by their numbers, without those that are finished, and none if there is nothing to
            share.
        notes: sentences for the user on what may flicker all the same.
    """

    scenes: dict[int, Scene]
    notes: tuple[str, ...] = ()

    def of(self, scene: int) -> Scene:
        """What all frames of a scene share."""
        return self.scenes.get(scene, Scene())


def hold(
    predictor: AnyPredictor, clip: Clip, timeline: Timeline, start: int, size: tuple[int, int]
) -> Steadiness:
    """Examine some frames of each scene, from frame `start` on.

    A network with a scout gets the statistics of one typical frame for all frames of a scene, so
    that experts, tone and amounts are the same in all of them. Statistics averaged over several
    frames would look like those of a blurred picture, and lead to other choices. Where each picture
    takes one of several networks, all frames of a scene take the one that suits them together; if
    they are repaired first, the one that suits them before the repair.

    Args:
        predictor: the model.
        clip: the video.
        timeline: its frames and scenes.
        start: first frame that is still to be computed.
        size: (width, height) of the results.
    """
    restorer = predictor.restorer if isinstance(predictor, Enhancer) else predictor
    upscaler = predictor.upscaler if isinstance(predictor, Enhancer) else predictor
    paired = isinstance(upscaler, Upscaler) and isinstance(upscaler.model, PairedNetwork)
    stored = (clip.stored_width, clip.stored_height)
    paired = paired and kept_size(stored, size) != size  # else no network enlarges
    scouted = isinstance(restorer, Restorer) and isinstance(restorer.model, ScoutedNetwork)
    notes = _notes(restorer) if isinstance(restorer, Restorer) else []
    if not (paired or scouted):
        return Steadiness({}, tuple(notes))
    wanted = {
        number: scene
        for scene in range(timeline.scene_of(start), len(timeline.scenes))
        for number in spread(timeline.frames_of(scene))
    }
    looks: dict[int, list[Statistics]] = defaultdict(list)
    errors: dict[int, list[Tensor]] = defaultdict(list)
    for number, pixels in read_frames(clip, timeline, min(wanted)):
        if number > max(wanted):
            break
        if (scene := wanted.get(number)) is None:
            continue
        source = ArraySource(to_tensor(pixels)[0])
        if scouted and isinstance(restorer, Restorer):
            looks[scene].append(restorer.count(source))
        if paired and isinstance(upscaler, Upscaler):
            estimates = upscaler.estimated_errors(source, size)
            errors[scene] += [] if estimates is None else [estimates[0]]
    scenes = {
        scene: Scene(
            typical(looks[scene]) if looks[scene] else None,
            _member(upscaler, errors[scene]) if errors[scene] else None,
        )
        for scene in sorted(set(wanted.values()))
    }
    return Steadiness(scenes, tuple(notes))


def _notes(restorer: Restorer) -> list[str]:
    """What may flicker, or is left undone so that it does not."""
    notes = []
    if getattr(restorer.model, "motion", None) is not None:
        notes.append("Motion blur stays in videos: undone frame by frame, it would flicker.")
    if not isinstance(restorer.model, ScoutedNetwork):
        notes.append(
            f"{restorer.name} chooses its experts for each frame, which may flicker; "
            "moce-ir-light keeps its choice through a scene."
        )
    return notes


def _member(upscaler: AnyPredictor | None, errors: Sequence[Tensor]) -> int:
    """The network for frames with these estimated errors, (J,) each."""
    assert isinstance(upscaler, Upscaler)
    assert isinstance(upscaler.model, PairedNetwork)
    return upscaler.model.pick(torch.stack(list(errors)).sum(dim=0))


def typical(looks: Sequence[Statistics]) -> Statistics:
    """The statistics of the frame that differs least from the others."""
    return min(looks, key=lambda one: sum(float(one.distance(other)[0]) for other in looks))


def spread(frames: range) -> list[int]:
    """Numbers of up to `SAMPLES` frames, each in the middle of an equal part of the scene.

    >>> spread(range(10, 20)), spread(range(3))
    ([11, 13, 15, 17, 19], [0, 1, 2])
    """
    count = min(SAMPLES, len(frames))
    return [frames[(2 * part + 1) * len(frames) // (2 * count)] for part in range(count)]
