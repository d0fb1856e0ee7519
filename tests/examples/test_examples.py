"""The programs of examples/ run from end to end, on small pictures."""

import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import pixperts

EXAMPLES = Path(__file__).parents[2] / "examples"
Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """What a program prints, called as from the command line."""

    def call(name: str, *arguments: object, code: int | None = None) -> str:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        if code is None:
            runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        else:
            with pytest.raises(SystemExit, match=f"^{code}$"):
                runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return call


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three parts of the sample photos, 64 x 48 pixels."""
    for name in ("circuits", "colosseum", "osprey"):  # a smooth part so small does not seem noisy
        part = pixperts.read_image(EXAMPLES / f"{name}.jpg").pixels[100:148, 100:164]
        pixperts.write_image(tmp_path / "photos" / f"{name}.png", np.ascontiguousarray(part))
    return tmp_path / "photos"


def test_the_table_lists_every_program() -> None:
    listed = re.findall(r"\]\((\w+\.py)\)", (EXAMPLES / "README.md").read_text(encoding="utf-8"))
    assert set(listed) == {path.name for path in EXAMPLES.glob("*.py")}


@pytest.mark.slow
def test_the_table_of_a_folder(run: Run, photos: Path, tmp_path: Path) -> None:
    (photos / "bad.png").write_bytes(b"no picture")
    out = tmp_path / "large"
    printed = run("folder_table.py", photos, "--out", out, code=1)
    assert re.search(r"colosseum.png +128 +96 +\d", printed)
    assert "3 done, 0 kept, 1 failed" in printed
    assert "0.04 megapixels" in printed
    assert "0 done, 3 kept, 1 failed" in run("folder_table.py", photos, "--out", out, code=1)


@pytest.mark.slow
def test_maps_of_experts(run: Run, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "maps/maps.png"
    photo = photos / "colosseum.png"
    printed = run("expert_maps.py", photo, "--budgets", "0", "1", "--out", out)
    costs = [float(cost) for cost in re.findall(r"mean cost ([\d.]+)", printed)]
    assert costs[0] < 0.05 < 0.5 < costs[1]
    assert pixperts.read_image(out).pixels.shape[1] > 500


@pytest.mark.slow
def test_training_on_photos(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    for name in ("budgie", "circuits", "osprey"):
        part = pixperts.read_image(EXAMPLES / f"{name}.jpg").pixels[100:228, 100:228]
        pixperts.write_image(folder / f"{name}.png", np.ascontiguousarray(part))
    run_folder = tmp_path / "run"
    printed = run("train_on_photos.py", folder, "--out", run_folder, "--steps", 2, "--batch", 1)
    found = re.search(r"1 photos kept apart, x2: ([\d.]+) dB before, ([\d.]+) dB after", printed)
    assert found
    before, after = map(float, found.groups())
    assert after == pytest.approx(before, abs=0.5)  # two steps neither break nor improve it
    assert (run_folder / "last.safetensors").exists()


@pytest.mark.slow
def test_tiles_that_know_the_whole(run: Run, tmp_path: Path) -> None:
    photo = tmp_path / "part.png"
    pixels = pixperts.read_image(EXAMPLES / "colosseum.jpg").pixels[60:188, 100:300]
    pixperts.write_image(photo, np.ascontiguousarray(pixels))
    printed = run("route_aware_tiling.py", photo, "--tile", 128)
    at_once, one_by_one, surveyed = re.findall(r"experts (.*)", printed)
    assert surveyed == at_once
    assert one_by_one != f"[{at_once}]"
    naive, aware = (float(mean) for mean in re.findall(r"off by ([\d.]+)", printed))
    assert aware < 0.1 < naive


@pytest.mark.slow
def test_a_network_of_ones_own(run: Run, photos: Path) -> None:
    printed = run("evaluate_your_network.py", photos, "--limit", 1)
    found = dict(re.findall(r"^(\S+) +x2, LR bicubic, .*: ([\d.]+) dB", printed, re.MULTILINE))
    assert list(found) == ["bicubic", "yours", "moeisr-light"]
    assert float(found["bicubic"]) < float(found["yours"]) < float(found["moeisr-light"])
    repaired = re.findall(r"^(\S+) +noise25, synthetic, .*: ([\d.]+) dB", printed, re.MULTILINE)
    assert [name for name, _ in repaired] == ["input", "yours", "moce-ir-light"]
    assert float(repaired[0][1]) < float(repaired[2][1])
