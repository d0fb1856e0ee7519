"""The drawing of scatter plots, and the page of results put together from measurements."""

import doctest
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import results_measure
import results_page
import results_pictures
import results_text
import scatter
from pixperts.data.benchmarks import SuperResolutionSet
from pixperts.io.image import write_image
from results import assemble
from results_measure import FirstPictures, Part
from scatter import MARGIN, PLOT, Panel, Point, Series

SVG = "{http://www.w3.org/2000/svg}"
SETTINGS = {"threads": 1, "machine": "a processor", "weights": {}, "limit": None}


def drawn(*panels: Panel, columns: int = 1) -> ElementTree.Element:
    return ElementTree.fromstring(scatter.scatter(panels, columns))


def dots(svg: ElementTree.Element) -> list[tuple[float, float]]:
    """Centers of the points, without those of the legend."""
    found = [(float(dot.attrib["cx"]), float(dot.attrib["cy"])) for dot in svg.iter(f"{SVG}circle")]
    return [(x, y) for x, y in found if y != 15]


@pytest.mark.parametrize("module", [scatter, results_measure, results_text, results_pictures])
def test_examples_of_docstrings(module: Any) -> None:
    names = module.__dict__ | {"torch": torch}
    done = doctest.testmod(module, extraglobs=names)
    assert done.attempted > 0
    assert done.failed == 0


def test_points_lie_where_they_should() -> None:
    series = Series("one", (Point(1, 30), Point(10, 32), Point(100, 40)))
    found = dots(drawn(Panel("x2", "seconds", "dB", (series,))))
    # The axes run from 1 / 1.6 to 160, and from 30 - 1.2 to 40 + 1.2: 12 % of 10 dB at each end.
    left, upper = MARGIN[0], scatter.LEGEND + MARGIN[2]
    assert found[1][0] == pytest.approx(left + PLOT[0] / 2, abs=0.06)  # 10: the geometric middle
    assert found[0][0] - left == pytest.approx(left + PLOT[0] - found[2][0], abs=0.11)
    assert found[0][1] == pytest.approx(upper + PLOT[1] * 11.2 / 12.4, abs=0.06)
    assert found[1][1] == pytest.approx(upper + PLOT[1] * 9.2 / 12.4, abs=0.06)
    assert found[2][1] == pytest.approx(upper + PLOT[1] * 1.2 / 12.4, abs=0.06)


def test_panels_fill_rows_and_share_one_legend() -> None:
    one, two = Series("a & b", (Point(1, 30),)), Series("c", (Point(1, 30),))
    svg = drawn(*[Panel(str(n), "s", "dB", (one, two)) for n in range(3)], columns=2)
    wide, tall = PLOT[0] + MARGIN[0] + MARGIN[1], PLOT[1] + MARGIN[2] + MARGIN[3]
    assert svg.attrib["viewBox"] == f"0 0 {2 * wide:g} {scatter.LEGEND + 2 * tall:g}"
    places = dots(svg)[::2]
    assert [round(x - places[0][0]) for x, _ in places] == [0, wide, 0]
    assert [round(y - places[0][1]) for _, y in places] == [0, 0, tall]
    words = [text.text for text in svg.iter(f"{SVG}text")]
    assert words.count("a & b") == words.count("c") == 1


def test_labels_keep_clear_of_one_another_and_of_the_frame() -> None:
    taken = [(56.0, 45.0, 76.0, 55.0)]  # right of the point
    assert scatter.free_place((50, 50), 20, 10, taken, (0, 0, 100, 100)) == (24, 45, 44, 55)
    # In the right upper corner only the left and what is below are inside; the left comes first.
    assert scatter.free_place((98, 7), 20, 10, [], (0, 0, 100, 100)) == (72, 2, 92, 12)


def test_level_is_drawn_at_its_height() -> None:
    series = Series("one", (Point(1, 30),))
    svg = drawn(Panel("t", "s", "dB", (series,), ((20.0, "input"),)))
    (line,) = [line for line in svg.iter(f"{SVG}line") if "stroke-dasharray" in line.attrib]
    upper = scatter.LEGEND + MARGIN[2]
    assert float(line.attrib["y1"]) == pytest.approx(upper + PLOT[1] * 11.2 / 12.4, abs=0.06)


def enlarged(model: str, budget: float | None, scale: int, psnr: float, seconds: float) -> Any:
    same = {"model": model, "budget": budget, "scale": scale, "mixture": model == "mix"}
    quality = {"kind": "quality", "set": "Set5", "psnr": psnr, "ssim": 0.9, "images": 2}
    quality |= {"lr_source": "published", "multiply_adds_per_pixel": 500.0 * scale}
    timed = {"kind": "seconds", "seconds_per_megapixel": seconds}
    name = f"{model} {budget} {scale}"
    return {f"q {name}": same | quality, f"s {name}": same | timed}


def enlarging(finished: bool = True) -> Any:
    settings = SETTINGS | {"sets": ["Set5"], "scales": [2, 3], "repeats": 1}
    settings |= {"timed": "a.jpg", "timed_size": [6, 4]}
    found = enlarged("mix", None, 2, 37.125, 4.5) | enlarged("mix", 0.0, 2, 36.5, 2.25)
    found |= enlarged("dense", None, 2, 38.0, 20.0) | enlarged("bicubic", None, 2, 33.5, 0.02)
    return {"settings": settings, "finished": finished, "rows": found}


def test_page_of_enlarging() -> None:
    text = results_page.page({"enlarging": enlarging()})
    assert "| mix | auto | 37.12 | - | 0.9000 | - | 1 | - |" in text
    assert "| mix | 0 | 36.50 | - | 0.9000 | - | 1 | - |" in text
    assert "| dense | - | 38.00 | - | 0.9000 | - | 1 | - |" in text
    assert "| mix | auto | 4.50 | - |" in text
    assert "enlarged to 6 x 4, the fastest of 1 run" in text
    assert "1 thread, a processor" in text
    assert "Unfinished" not in text
    assert "Unfinished" in results_page.page({"enlarging": enlarging(finished=False)})
    for name in ("denoising", "experts", "maps", "real"):
        assert f"`python scripts/results.py --only {name}`" in text


def test_panels_of_enlarging() -> None:
    panels = results_page.panels_enlarging(enlarging())
    assert [(p.title, p.x_title) for p in panels] == [
        ("Set5 x2", "processor seconds per megapixel"),
        ("Set5 x2", "GMAC per megapixel"),
    ]
    mix, dense = panels[0].series
    assert [p.note for p in panels] == ["bicubic: 33.50 dB at 0.02", "bicubic: 33.50 dB at 1"]
    assert mix == Series("mix", (Point(2.25, 36.5, "0"), Point(4.5, 37.125, "auto")))
    assert dense == Series("dense", (Point(20.0, 38.0, "dense"),))
    assert panels[1].series[1].points[0].x == 1.0  # 1000 multiply-adds a pixel


def denoising() -> Any:
    settings = SETTINGS | {"set": "CBSD68", "seed": 0, "non_local_means": "h=1", "limit": 3}
    score = {"sigma": 25, "images": 3, "psnr": 28.5, "seconds_per_megapixel": 12.0}
    found = {
        "a": score | {"method": "ours", "degraded_psnr": 20.5},
        "b": {"method": "BM3D", "sigma": 25, "reason": "It is not there."},
    }
    return {"settings": settings, "finished": True, "rows": found}


def test_page_of_denoising_tells_what_was_left_out() -> None:
    text = "\n".join(results_page.denoising(denoising()))
    assert "| noisy input | 20.50 | - |" in text
    assert "| ours | 28.50 | 12.0 |" in text
    assert "the first 3 pictures" in text
    assert "BM3D is left out: It is not there." in text
    assert "| BM3D" not in text
    (panel,) = results_page.panels_denoising(denoising())
    assert panel.levels == ((20.5, "noisy input"),)
    assert panel.series == (Series("ours", (Point(12.0, 28.5, "ours"),)),)


def real() -> Any:
    pair = {"picture": "real_a_1.webp", "width": 6, "height": 4, "seconds": 1.0}
    settings = SETTINGS | {"model": "m", "side": 480}
    return {"settings": settings, "finished": True, "rows": {"a/1": pair, "a/2": pair}}


def test_remarks_stand_with_their_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results_page, "REMARKS", {"a/1": "The sky is flat."})
    monkeypatch.setattr(results_page, "SHOWN", ("a/1",))
    text = "\n".join(results_page.real(real()))
    assert "| a/1 | 6 x 4 | The sky is flat. |" in text
    assert "| a/2 | 6 x 4 | no remark yet |" in text
    assert text.count("![") == 1  # what may not be shown is not linked
    assert "![a/1, before and after](images/results/real_a_1.webp)" in text
    assert results_page.without_remark(real()) == ["a/2"]


def test_a_part_is_measured_once_and_anew_with_other_settings(tmp_path: Path) -> None:
    calls: list[str] = []

    def measured(name: str) -> Any:
        calls.append(name)
        return {"reason": "no"} if name == "failed" else {"value": len(calls)}

    def run(settings: Any, *files: Path) -> Part:
        part = Part(tmp_path / "kept" / "p.json", settings)
        for name in ("one", "failed"):
            part.row(name, lambda name=name: measured(name), {"name": name}, *files)  # type: ignore[misc]
        part.finish()
        return part

    assert run({"size": (1, 2)}).rows["one"] == {"name": "one", "value": 1}
    assert run({"size": (1, 2)}).rows["one"]["value"] == 1
    assert calls == ["one", "failed", "failed"]  # what failed is tried again
    assert run({"size": (1, 2)}, tmp_path / "gone").rows["one"]["value"] == 4
    assert run({"size": (1, 3)}).rows["one"]["value"] == 6


def test_auto_sets_are_measured_without_a_budget_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results_measure, "models_that", lambda does: ["moeisr-tiny"])
    for name in ("_seconds", "_quality"):
        monkeypatch.setattr(results_measure, name, lambda *args: {})
    write_image(tmp_path / "a.png", np.zeros((4, 6, 3), np.uint8))
    sets = [SuperResolutionSet(tmp_path / name, ()) for name in ("Set5", "B100")]
    part = Part(tmp_path / "p.json", {})
    results_measure.measure_enlarging(
        part, sets[:1], sets[1:], [2], [None, 0.5], tmp_path / "a.png", 1
    )
    assert [name for name in part.rows if not name.startswith("seconds")] == [
        "Set5 bicubic x2",
        "B100 bicubic x2",
        "Set5 moeisr-tiny x2",
        "B100 moeisr-tiny x2",
        "Set5 moeisr-tiny budget 0.5 x2",
    ]


def test_page_and_drawings_are_written_from_what_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, out = tmp_path / "kept", tmp_path / "docs"
    for name, part in {"enlarging": enlarging(), "denoising": denoising(), "real": real()}.items():
        saved = Part(kept / f"{name}.json", part["settings"])
        saved.rows = part["rows"]
        saved.finish()
    assemble(out, kept)
    text = (out / "results.md").read_text()
    for link in re.findall(r"\]\((images/results/\w+\.svg)\)", text):
        ElementTree.parse(out / link)
    assert len(list((out / "images" / "results").iterdir())) == 2
    assert "a/1, a/2" in capsys.readouterr().out


def test_first_pictures_of_a_published_set(tmp_path: Path) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
    for number in range(3):
        write_image(tmp_path / "HR" / f"{number}.png", levels + np.uint8(number))
        write_image(tmp_path / "LR_x2" / f"{number}.png", levels[::2, ::2] + np.uint8(number))
    whole = SuperResolutionSet.open(tmp_path)
    some = FirstPictures.of(whole, 2)
    some.check(2)
    assert (len(some), some.name) == (2, tmp_path.name)
    for ours, theirs in zip(some.pair(1, 2), whole.pair(1, 2), strict=True):
        assert torch.equal(ours, theirs)


def test_small_pictures_stay_below_their_size(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    results_pictures.write_small(tmp_path / "a.webp", noise, 4000)
    results_pictures.write_small(tmp_path / "b.webp", noise, 10**6)
    small, large = ((tmp_path / name).stat().st_size for name in ("a.webp", "b.webp"))
    assert small <= 4000 < large
