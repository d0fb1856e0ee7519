"""Tiles and the memory: smaller ones where it runs out, surveys until the sums stand still."""

from typing import Any

import pytest
import torch
from torch import Tensor

from pixperts.inference import tiled_restore
from pixperts.inference.findings import RepairSettings
from pixperts.inference.streams import ArraySource
from pixperts.inference.tiled_restore import TiledRestore
from tests.helpers.moce_models import mini, pictures
from tests.helpers.tiny_models import picture, restorer, same, tiny, upscaler


class Limited:
    """Lets a network fail for more than so many pixels, or at some calls."""

    def __init__(self, model: Any, monkeypatch: pytest.MonkeyPatch, name: str = "forward") -> None:
        self.inner, self.pixels, self.calls = getattr(model, name), 1 << 40, 0
        self.fatal: dict[int, BaseException] = {}
        self.error: BaseException = MemoryError()
        monkeypatch.setattr(model, name, self)

    def __call__(self, image: Tensor, *arguments: Any, **options: Any) -> Any:
        self.calls += 1
        if self.calls in self.fatal:
            raise type(self.fatal[self.calls])(*self.fatal[self.calls].args)
        if image.shape[2] * image.shape[3] > self.pixels:
            raise type(self.error)(*self.error.args)
        return self.inner(image, *arguments, **options)


ERRORS = [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes")]


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("budget", [None, 0.5])
def test_smaller_tiles_where_memory_runs_out(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, budget: float | None
) -> None:
    image, model = picture(3, 100, 90), tiny()
    expected = upscaler(model, tile=50).upscale(image, scale=1.5, budget=budget)
    limited = Limited(model, monkeypatch)
    limited.pixels, limited.error = 75 * 75, error
    seen: list[float] = []
    found = upscaler(model).upscale(image, scale=1.5, budget=budget, progress=seen.append)
    same(found, expected)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    limited.pixels, limited.calls = 1 << 40, 0
    limited.fatal = {4: error}  # in the second strip
    same(upscaler(model, tile=50).upscale(image, scale=1.5, budget=budget), expected)


def test_the_search_for_a_price_runs_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    image, model = picture(3, 100, 90), tiny()
    expected = upscaler(model, tile=32).upscale(image, scale=1.5, budget=0.5)
    limited = Limited(model, monkeypatch, "sample_logits")
    limited.pixels = 60 * 60
    same(upscaler(model, tile=64).upscale(image, scale=1.5, budget=0.5), expected)


@pytest.mark.slow
def test_smaller_tiles_for_repairs(monkeypatch: pytest.MonkeyPatch) -> None:
    image, model = pictures(1, 3, 300, 140)[0], mini(windows=(2, 2, 4, 4))
    expected = restorer(model).restore(image)
    limited = Limited(model, monkeypatch)
    limited.pixels = 280 * 280
    at_once = restorer(model).restore(image)
    same(at_once, expected, 0.02)
    before = limited.calls
    limited.pixels, limited.fatal = 1 << 40, {}
    tiled = restorer(model, tile=160).restore(image)
    calls = limited.calls - before
    limited.calls, limited.fatal = 0, {calls: MemoryError()}  # the last tile of all
    same(restorer(model, tile=160).restore(image), tiled, 0.01)


@pytest.mark.parametrize(("settled", "count"), [(0.0, 6), (1e9, 2)])
@pytest.mark.slow
def test_surveys_go_on_until_the_sums_stand_still(
    monkeypatch: pytest.MonkeyPatch, settled: float, count: int
) -> None:
    # 12 tiles of 128, of which each survey looks at two.
    monkeypatch.setattr(tiled_restore, "SURVEYED_PIXELS", 2 * 128**2)
    monkeypatch.setattr(tiled_restore, "SETTLED", settled)
    model = mini()
    events: list[Any] = []
    survey = model.survey

    def noted(*args: Any) -> Any:
        events.append("survey")
        return survey(*args)

    monkeypatch.setattr(model, "survey", noted)
    restorer(model, tile=128).restore(pictures(1, 3, 384, 512)[0], progress=events.append)
    assert events.count("survey") == 2 * count
    shares = [event for event in events if event != "survey"]
    # A sixth of the pixels three times, and then all of them: one and a half passes.
    done = min(count, 3) / 9
    surveyed = [min(tile / 2, 3) / 9 for tile in range(1, 2 * count + 1)]
    repaired = [done + (1 - done) * tile / 12 for tile in range(1, 13)]
    assert shares == pytest.approx(surveyed + repaired)


@pytest.mark.slow
def test_a_picture_of_a_batch_settles_as_if_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    image, model = pictures(2, 3, 200, 264), mini()
    image[1] = image[1] / 8
    monkeypatch.setattr(
        tiled_restore, "SETTLED", 0.02
    )  # the second after two surveys, not the first
    both = restorer(model, tile=128).restore(image)
    for number in range(2):
        same(restorer(model, tile=128).restore(image[number]), both[number])


@pytest.mark.slow
def test_memory_that_never_suffices_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    model, repairing = tiny(), mini()
    Limited(model, monkeypatch).pixels = 1
    Limited(repairing, monkeypatch).pixels = 1
    with pytest.raises(MemoryError):
        upscaler(model).upscale(picture(3, 100, 90), scale=2)
    with pytest.raises(MemoryError):
        restorer(repairing).restore(pictures(1, 3, 150, 130)[0])


def test_other_errors_are_not_taken_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny()
    limited = Limited(model, monkeypatch)
    limited.pixels, limited.error = 1, RuntimeError("the size of tensor a must match")
    with pytest.raises(RuntimeError, match="must match"):
        upscaler(model).upscale(picture(3, 100, 90), scale=2)
    assert limited.calls == 1


def test_a_batch_takes_the_memory_of_all_its_pictures() -> None:
    one, three = (ArraySource(torch.rand(n, 3, 8, 8)) for n in (1, 3))
    mine = restorer(mini())
    bytes_of = [
        TiledRestore(mine.model, mine._runner, source, RepairSettings(), None).pixel_bytes()
        for source in (one, three)
    ]
    assert bytes_of[1] == 3 * bytes_of[0]
