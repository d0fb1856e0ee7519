"""A share of the fuzz run in this process; `fuzz_images.py` runs as many as wanted."""

from pathlib import Path

import pytest

from tests.fuzz.fuzz_images import check
from tests.fuzz.mutations import KINDS, fields
from tests.fuzz.specimens import specimens

SEED, CASES = 20261121, 150


@pytest.fixture(scope="module")
def pool() -> dict[str, bytes]:
    return specimens()


@pytest.mark.slow
def test_damaged_files_are_read_or_refused_in_a_sentence(
    tmp_path: Path, pool: dict[str, bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    reports = [check(SEED, number, pool, tmp_path) for number in range(CASES)]
    wrong = [one for one in reports if one.outcome not in ("accepted", "refused")]
    assert not wrong
    assert capfd.readouterr().err == ""
    # A mutator that broke everything, or nothing, would test nothing.
    for outcome in ("accepted", "refused"):
        assert sum(one.outcome == outcome for one in reports) > CASES // 6
    assert any(one.written for one in reports)


@pytest.mark.slow
def test_sound_specimens_are_accepted(tmp_path: Path, pool: dict[str, bytes]) -> None:
    from pixperts.io.image import read_image

    for name, data in pool.items():
        (tmp_path / name).write_bytes(data)
        assert read_image(tmp_path / name).pixels.size, name
        assert fields(data), name


def test_every_kind_of_damage_occurs(pool: dict[str, bytes]) -> None:
    from tests.fuzz.fuzz_images import case

    seen = {kind for number in range(60) for kind in case(SEED, number, pool)[2].split("+")}
    assert seen == KINDS.keys()
