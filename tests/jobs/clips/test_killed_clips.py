"""A run over a video that is killed continues, and gives the bytes of a run in one go."""

import json
import os
from pathlib import Path

import pytest

from pixperts.weights import store
from tests.helpers.clips import moving, write_clip
from tests.helpers.command_line import shell
from tests.helpers.places import ROOT
from tests.helpers.tiny_models import tiny

KILLS, FRAMES = 3, 24


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that can be forked")
@pytest.mark.slow
def test_kills(tmp_path: Path) -> None:
    weights, work = tmp_path / "tiny.safetensors", tmp_path / "work"
    work.mkdir()
    store.save(weights, tiny(), store.Card("tiny", {}))
    clip = write_clip(tmp_path / "a.mp4", moving(FRAMES))
    script = ROOT / "tests" / "helpers" / "killed_clips.py"
    done = shell("-P", script, weights, clip, work, KILLS, FRAMES // 4)
    assert done.returncode == 0, done.stderr
    facts = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(facts) == KILLS
    for fact in facts:
        assert (fact["partial"], fact["code"], fact["equal"], fact["left"]) == (False, 0, True, [])
    assert any(fact["killed"] for fact in facts)  # a busy machine may end a run before its kill
    assert any(fact["kept"] for fact in facts)  # some segments were there already
