"""`--page`: one page of a file, or a result for each."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from pixperts.errors import UsageError
from pixperts.inference.size_request import SizeRequest
from pixperts.io.image import read_image
from pixperts.jobs.operations import Upscale
from pixperts.jobs.options import FileOptions, FolderOptions
from pixperts.jobs.plan import plan
from pixperts.jobs.run import run_folder
from tests.helpers.image_files import noise, smooth


def pages(path: Path) -> Path:
    with tifffile.TiffWriter(path) as writer:
        for seed in range(3):
            pixels = noise(height=12, width=16, seed=seed)
            writer.write(pixels, photometric="rgb", metadata=None)
    return path


def doubled(page: int | str | None) -> Upscale:
    return Upscale(SizeRequest(scale=2), files=FileOptions(page=page))


def test_all_pages_become_files_of_their_own(tmp_path: Path) -> None:
    source = pages(tmp_path / "a.tif")
    single = tmp_path / "b.tif"
    tifffile.imwrite(single, smooth(height=12, width=16), photometric="rgb")
    folder = tmp_path / "out"
    summary = run_folder([source, single], f"{folder}/", doubled("all"), "moeisr-tiny")
    assert (summary.done, summary.failed) == (4, 0)
    names = ["a_page1.tif", "a_page2.tif", "a_page3.tif", "b.tif"]
    assert sorted(path.name for path in folder.iterdir()) == names
    for number in (1, 2, 3):
        alone = tmp_path / f"{number}.png"
        run_folder(source, alone, doubled(number), "moeisr-tiny")
        expected = read_image(alone).pixels
        assert expected.shape == (24, 32, 3)
        assert np.array_equal(read_image(folder / f"a_page{number}.tif").pixels, expected)
    again = run_folder([source, single], f"{folder}/", doubled("all"), "moeisr-tiny")
    assert again.skipped == 4


def test_one_page_is_not_taken_for_another_that_is_there(tmp_path: Path) -> None:
    source = pages(tmp_path / "a.tif")
    single = tmp_path / "b.tif"
    tifffile.imwrite(single, smooth(height=12, width=16), photometric="rgb")
    for output, names in (
        (None, ["a_x2_page2.tif", "a_x2_page3.tif"]),
        (f"{tmp_path}/out/", ["a_page2.tif", "a_page3.tif"]),
    ):
        for number in (2, 3):
            (job,) = plan([source], output, label="x2", page=number).jobs
            assert (job.target.name, job.page) == (names[number - 2], number)
            summary = run_folder(source, output, doubled(number), "moeisr-tiny")
            assert summary.done == 1
        first, second = (read_image(job.target.with_name(name)).pixels for name in names)
        assert not np.array_equal(first, second)
    (job,) = plan([single], None, label="x2", page=1).jobs
    assert job.target.name == "b_x2.tif"  # there is nothing to tell apart
    job.target.write_text("mine")
    assert run_folder(single, None, doubled(2), "moeisr-tiny").failed == 1


def test_a_page_that_is_not_there_fails_alone(tmp_path: Path) -> None:
    source = pages(tmp_path / "a.tif")
    target = tmp_path / "out.png"
    summary = run_folder(source, target, doubled(7), "moeisr-tiny")
    assert summary.failed == 1
    assert not target.exists()


def test_maps_and_results_beside_their_inputs(tmp_path: Path) -> None:
    source = pages(tmp_path / "a.tif")
    maps = f"{tmp_path}/maps/"
    jobs = plan([source], f"{tmp_path}/out/", maps, page="all").jobs
    assert [job.expert_map.name for job in jobs if job.expert_map] == [
        f"a_page{number}_experts.png" for number in (1, 2, 3)
    ]
    first = plan([source], None, label="x2", page="all").jobs
    assert [job.target.name for job in first] == [f"a_x2_page{number}.tif" for number in (1, 2, 3)]
    for job in first:
        tifffile.imwrite(job.target, smooth(), photometric="rgb")
    results = [job.target for job in first]
    assert plan([source, *results], None, label="x2", page="all").jobs == first


def test_wrong_values(tmp_path: Path) -> None:
    for value in ("0", "-1", "first", "", "1.5"):
        with pytest.raises(UsageError, match="page is"):
            FileOptions(page=value)
    source = pages(tmp_path / "a.tif")
    with pytest.raises(UsageError, match="would lose the other pages"):
        plan([source], None, options=FolderOptions(in_place=True), page="all")
