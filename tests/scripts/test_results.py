"""The drawing of scatter plots, and the page of results put together from measurements."""

import doctest
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import results_enhanced
import results_measure
import results_page
import results_page_repair
import results_pictures
import results_plots
import results_repair
import results_text
import scatter
from pixperts.data.benchmarks import SuperResolutionSet
from pixperts.inference.restorer import Restorer
from pixperts.inference.upscaler import Upscaler
from pixperts.io.image import read_image, write_image
from pixperts.models.moce_ir_light.model import MoCEIRLight
from pixperts.weights import store
from results import assemble
from results_measure import Enlargements, FirstPictures, Part
from scatter import MARGIN, PLOT, Panel, Point, Series
from tests.helpers.light_models import light
from tests.helpers.light_restoration import light_restorer
from tests.helpers.one_network import one_network
from tests.helpers.tiny_models import upscaler

SVG = "{http://www.w3.org/2000/svg}"
SETTINGS = {"threads": 1, "machine": "a processor", "weights": {}, "limit": None}
SETTINGS |= {"precision": "float32"}


def drawn(*panels: Panel, columns: int = 1) -> ElementTree.Element:
    return ElementTree.fromstring(scatter.scatter(panels, columns))


def dots(svg: ElementTree.Element) -> list[tuple[float, float]]:
    """Centers of the points, without those of the legend."""
    found = [(float(dot.attrib["cx"]), float(dot.attrib["cy"])) for dot in svg.iter(f"{SVG}circle")]
    return [(x, y) for x, y in found if y != 15]


@pytest.mark.parametrize(
    "module", [scatter, results_measure, results_page, results_text, results_pictures]
)
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


def enlarged(model: str, budget: float | None, scale: float, psnr: float) -> Any:
    row = {"model": model, "budget": budget, "scale": scale, "mixture": model == "mix"}
    row |= {"set": "Set5", "psnr": psnr, "ssim": 0.9, "images": 2, "of": 5}
    row |= {"multiply_adds_per_pixel": 500.0 * scale}
    return {f"{model} {budget} {scale}": row}


def enlarging(finished: bool = True) -> Any:
    settings = SETTINGS | {"sets": ["Set5"]}
    found = enlarged("mix", None, 2.0, 37.125) | enlarged("mix", 0.0, 2.0, 36.5)
    found |= enlarged("dense", None, 2.0, 38.0) | enlarged("bicubic", None, 2.0, 33.5)
    found |= enlarged("dense", None, 1.5, 41.25)
    return {"settings": settings, "finished": finished, "rows": found}


def test_page_of_enlarging() -> None:
    text = results_page.page({"enlarging": enlarging()})
    assert "**Set5**, 2 pictures of 5, PSNR, dB:" in text
    assert "| model | x1.5 | x2 |" in text
    assert "| mix | - | 37.12 |" in text
    assert "| dense | 41.25 | 38.00 |" in text
    assert "| mix | 0.9000 |" in text  # SSIM of whole factors only
    assert "| mix | 0 | 36.50 | 1 |" in text
    assert "| mix | auto | 37.12 | 1 |" in text
    assert "Unfinished" not in text
    assert "Unfinished" in results_page.page({"enlarging": enlarging(finished=False)})
    for name in ("photos", "repairs", "pinned", "peers", "command", "maps", "real"):
        assert f"`python scripts/results.py --only {name}`" in text


def test_panels_of_budgets() -> None:
    (panel,) = results_plots.panels_budgets(enlarging())
    assert (panel.title, panel.note) == ("Set5 x2", "bicubic: 33.50 dB")
    mix, dense = panel.series
    assert mix == Series("mix", (Point(1.0, 37.125, "auto"), Point(1.0, 36.5, "0")))
    assert dense == Series("dense", (Point(1.0, 38.0, "dense"),))


def test_page_of_photos_counts_those_below_bicubic() -> None:
    def pictures(*psnrs: float) -> Any:
        return [{"psnr": psnr, "before": 30.0, "ssim": 0.9} for psnr in psnrs]

    row = {"model": "a", "scale": 2.0}
    one = row | {"case": "clean", "pictures": pictures(31.5, 30.5, 40.0)}
    # As many pictures count as all cases have.
    other = row | {"case": "soft60", "pictures": pictures(29.25, 29.95)}
    settings = SETTINGS | {"set": "CID22-val"}
    part = {"settings": settings, "finished": True, "rows": {"1": one, "2": other}}
    text = "\n".join(results_page.photos(part))
    assert "| clean | 30.00 | +1.00 (+0.50) |" in text
    assert "| soft, JPEG 60 | 30.00 | -0.40 (-0.75, 2 below) |" in text


def repaired(task: str, before: float, psnr: float) -> Any:
    picture = {"before": before, "psnr": psnr, "ssim": 0.9, "skipped": 0.25}
    picture |= {"multiply_adds_per_pixel": 150e3}
    pictures = [picture | {"experts": [shares]} for shares in ([1, 0, 0, 0], [0, 1, 0, 0])]
    return {"set": "CID22-val", "task": task, "pictures": pictures}


def test_page_of_repairs() -> None:
    found = {"1": repaired("rain", 24.0, 32.0), "2": repaired("clean", 100.0, 85.0)}
    settings = SETTINGS | {"model": "m", "seed": 0}
    part = {"settings": settings, "finished": True, "rows": found}
    text = "\n".join(results_page.repairs_and_experts(part))
    assert "| CID22-val | rain | 2 | 24.00 | 32.00 | +8.00 | 0 | 0.9000 | 150 | 25% |" in text
    assert "| CID22-val | clean | 2 | equal | 85.00 | 85.00 | - | 0.9000 | 150 | 25% |" in text
    assert "| rain | 50 / 50 / 0 / 0 |" in text


def test_page_of_pinned_marks_the_best() -> None:
    found = {}
    for task, values in {"rain": (30.0, 31.0), "haze": (20.0, 18.0)}.items():
        for pin, psnr in zip(("the router", "none"), values, strict=True):
            picture = {"psnr": psnr, "before": 25.0, "multiply_adds_per_pixel": 150e3}
            found[f"{task} {pin}"] = {"task": task, "pin": pin, "pictures": [picture] * 2}
    settings = SETTINGS | {"model": "m", "seed": 0, "set": "CID22-val"}
    part = {"settings": settings, "finished": True, "rows": found}
    text = "\n".join(results_page_repair.pinned(part))
    assert "| rain | 30.00 | **31.00** |" in text
    assert "| haze | **20.00** | 18.00 |" in text
    assert "| **mean without clean** | 25.00 | 24.50 |" in text


def test_a_pinned_expert_is_what_runs() -> None:
    network = light_restorer().model
    assert isinstance(network, MoCEIRLight)
    picture = torch.rand(1, 3, 16, 24)
    with torch.inference_mode():
        for expert in range(4):
            pins = results_repair.pins_of(network, expert)
            routings = network(picture, pinned=pins).routings
            assert [r.experts.tolist() for r in routings] == [[[expert]]] * len(pins)
        none, wide = (
            network.changes(
                picture,
                torch.zeros(1, network.config.embedding),
                pinned=results_repair.pins_of(network, n),
            )
            for n in (0, 3)
        )
    assert not torch.equal(none[0], wide[0])


def beside(case: str) -> Any:
    settings = {"photos": "CBSD68", "pictures": 1, "peer": "moce-ir-tiny", "load": [1.0, 2.0]}
    row = {"case": case, "gain": 0.0, "lowest_gain": 0.0, "ssim": 0.9, "memory": 80.0}
    rows = [
        row | {"method": "input", "psnr": 20.5, "seconds": 0.0, "ratio": None},
        row | {"method": "moce-ir-light", "psnr": 29.0, "seconds": 4.0, "ratio": 0.75},
        row | {"method": "FFDNet", "psnr": 30.0, "seconds": 3.0, "ratio": 0.5},
    ]
    return {"settings": settings, "rows": rows}


def test_page_and_panels_of_peers() -> None:
    settings = SETTINGS | {"pictures": 1, "rounds": 2}
    part = {"settings": settings, "finished": True, "rows": {"noise": beside("noise25")}}
    text = "\n".join(results_page.peers(part))
    assert "| moce-ir-light | 29.00 | +0.00 (+0.00) | 0.9000 | 4.00 | 0.75 | 80 |" in text
    assert "| input | 20.50 | +0.00 (+0.00) | 0.9000 | 0.00 | - | 80 |" in text
    (panel,) = results_plots.panels_repair(part)
    assert panel.title == "noise, sigma 25"
    assert panel.note == "input: 20.5"  # too far below to be drawn
    assert panel.series == (
        Series("pixperts", (Point(4.0, 29.0, "moce-ir-light"),)),
        Series("others", (Point(3.0, 30.0, "FFDNet"),)),
    )


def real() -> Any:
    pair = {"picture": "real_a_1.webp", "width": 6, "height": 4, "seconds": 1.0, "change": 2.25}
    settings = SETTINGS | {"model": "m", "side": 480}
    return {"settings": settings, "finished": True, "rows": {"a/1": pair, "a/2": pair}}


def test_remarks_stand_with_their_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results_page_repair, "REMARKS", {"a/1": "The sky is flat."})
    monkeypatch.setattr(results_page_repair, "SHOWN", ("a/1",))
    text = "\n".join(results_page_repair.real(real()))
    assert "| a/1 | 6 x 4 | 2.2 | The sky is flat. |" in text
    assert "| a/2 | 6 x 4 | 2.2 | no remark yet |" in text
    assert text.count("![") == 1  # what may not be shown is not linked
    assert "![a/1, before and after](images/results/real_a_1.webp)" in text
    assert results_page_repair.without_remark(real()) == ["a/2"]


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


def test_a_row_grows_by_the_pictures_that_are_missing(tmp_path: Path) -> None:
    calls: list[int] = []

    def measured(number: int) -> Any:
        calls.append(number)
        return {"psnr": float(number)}

    for count in (2, 2, 3):
        part = Part(tmp_path / "p.json", {})
        part.pictures("rain", measured, {"task": "rain"}, count)
    assert calls == [0, 1, 2]
    assert part.rows["rain"] == {"task": "rain", "pictures": [{"psnr": n} for n in (0.0, 1.0, 2.0)]}


def test_budgets_are_for_mixtures_at_whole_factors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results_measure, "_quality", lambda *args: {})
    first, second = (SuperResolutionSet(tmp_path / name, ()) for name in ("Set5", "B100"))
    part = Part(tmp_path / "p.json", {"precision": "float32"})
    wanted = [
        Enlargements(first, [1.5, 2.0], ["moeisr-tiny", "liif-edsr"], [None, 0.5]),
        Enlargements(second, [2.0], ["moeisr-tiny"], [None]),
    ]
    results_measure.measure_enlarging(part, wanted)
    plain = [f"{data} x{scale}" for data, scale in (("Set5", "1.5"), ("Set5", "2"), ("B100", "2"))]
    assert list(part.rows) == [
        *(name.replace(" ", " bicubic ") for name in plain),
        *(name.replace(" ", " Lanczos ") for name in plain),
        "Set5 moeisr-tiny x1.5",
        "Set5 moeisr-tiny x2",
        "Set5 moeisr-tiny budget 0.5 x2",
        "B100 moeisr-tiny x2",
        "Set5 liif-edsr x2",  # slow ones at whole factors only
    ]


def test_lanczos_keeps_a_flat_picture() -> None:
    flat = torch.full((3, 5, 7), 0.25)
    large = results_measure.Lanczos().upscale(flat, size=(18, 13))
    assert large.shape == (3, 13, 18)
    assert torch.allclose(large, torch.full_like(large, 0.25), atol=1e-6)


def test_precision_is_for_those_made_for_it() -> None:
    tiny, light = (
        results_measure.load_as(Upscaler, name, "bfloat16")
        for name in ("moeisr-tiny", "moeisr-light")
    )
    assert (tiny.precision, light.precision) == ("float32", "bfloat16")


def test_page_and_drawings_are_written_from_what_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, out = tmp_path / "kept", tmp_path / "docs"
    peers = {
        "settings": SETTINGS | {"pictures": 1, "rounds": 1},
        "rows": {"noise": beside("noise25")},
    }
    for name, part in {"enlarging": enlarging(), "peers": peers, "real": real()}.items():
        saved = Part(kept / f"{name}.json", part["settings"])
        saved.rows = part["rows"]
        saved.finish()
    assemble(out, kept)
    text = (out / "results.md").read_text()
    for link in re.findall(r"\]\((images/results/\w+\.svg)\)", text):
        ElementTree.parse(out / link)
    drawn = {file.name for file in (out / "images" / "results").iterdir()}
    assert drawn == {"budgets.svg", "repair.svg"}
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


def test_pairs_stand_on_sheets(tmp_path: Path) -> None:
    part = Part(tmp_path / "p.json", {})
    for number in range(results_pictures.ON_A_SHEET + 1):
        picture = f"{number}.png"
        write_image(tmp_path / "shown" / picture, np.full((20, 40, 3), 10 * number, np.uint8))
        part.rows[f"a/{number}"] = {"picture": picture}
    folders = (tmp_path / "elsewhere", tmp_path / "shown")
    results_pictures.write_sheets(part, folders, tmp_path / "sheets")
    first, second = (read_image(tmp_path / "sheets" / name).pixels for name in ("00.png", "01.png"))
    assert first.shape[1] == 2 * second.shape[1]  # two columns, and one pair alone
    assert first.shape[0] == 3 * second.shape[0]
    assert (first == 50).all(axis=2).sum() >= 20 * 40  # the sixth pair, as it is


def test_two_models_and_one_stand_beside_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each way on its own pictures, means, and what one model loses at most."""
    card = store.Card("one", {})
    loaded = {
        results_enhanced.MODELS[0]: Restorer(one_network(), card, device="cpu"),
        results_enhanced.MODELS[1]: light_restorer(),
        results_enhanced.MODELS[2]: upscaler(light()),
    }
    monkeypatch.setattr(results_enhanced, "load_as", lambda kind, name, precision: loaded[name])
    monkeypatch.setattr(results_enhanced, "SCALES", (1.0, 2.0))
    monkeypatch.setattr(results_enhanced, "CASES", ("clean", "noise15"))
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (48, 64, 3), np.uint8)
        write_image(tmp_path / "photos" / f"{number}.png", pixels)
    part = Part(tmp_path / "enhanced.json", SETTINGS)
    results_enhanced.measure_enhanced(part, tmp_path / "photos", 2)
    assert [len(row["pictures"]) for row in part.rows.values()] == [2, 2, 2, 2]
    first = part.rows["x1 clean"]["pictures"][0]
    assert first["bicubic"] == first["enlarged"] == 100
    noisy = part.rows["x2 noise15"]["pictures"]
    assert len({round(noisy[0][way], 6) for way in ("bicubic", "enlarged", "two", "one")}) == 4
    lines = results_enhanced.enhanced({"settings": SETTINGS, "rows": part.rows})
    row = next(line for line in lines[lines.index("**x2**") :] if line.startswith("| noise15"))
    mean = sum(picture["one"] for picture in noisy) / 2
    lowest = min(picture["one"] - picture["two"] for picture in noisy)
    assert row.endswith(f"| {mean:.2f} ({lowest:+.2f}) |")
    assert lines[-1].startswith("| x2 | ")
    write_image(tmp_path / "real" / "mixed" / "Lincoln.webp", np.zeros((20, 30, 3), np.uint8))
    examples = {tmp_path / "photos" / "0.png": "rain"}
    one, figures = results_enhanced.enhancer_of(part), tmp_path / "figures"
    results_pictures.draw_enhanced(part, one, examples, tmp_path / "real", figures)
    sheet = read_image(figures / "enhanced_0.webp").pixels
    assert sheet.shape[1] >= 3 * 64  # before, after, the original
    shown = results_enhanced.enhanced({"settings": SETTINGS, "rows": part.rows})
    assert shown[: len(lines)] == lines
    assert shown[-1].endswith("(images/results/enhanced_Lincoln.webp)")
