"""Files of several pages or frames: which pages a run takes, and the names of the results."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pixperts.errors import PixpertsError
from pixperts.io.decode import page_count
from pixperts.jobs.job import Job
from pixperts.jobs.page_choice import ALL
from pixperts.jobs.places import LOCAL, Places


def by_page(jobs: Sequence[Job], page: int | str | None, places: Places = LOCAL) -> list[Job]:
    """The jobs with their pages; for "all", one for each page of a file that has several.

    Results of files with several pages get the number of the page in their names, "a_page1.tif",
    so that an existing result is not taken for that of another page. The name of an output that
    was named as a file is left as it is.
    """
    if page is None:
        return list(jobs)
    result: list[Job] = []
    for job in jobs:
        if page != ALL:
            result.append(_chosen(job, int(page), places))
            continue
        count = _pages(job, places)
        result += [_of_page(job, number, count) for number in range(1, count + 1)]
    return result


def _pages(job: Job, places: Places) -> int:
    if job.problem is not None:
        return 1
    try:
        with places.reading(job.source) as file:
            return page_count(file)
    except PixpertsError:
        return 1  # the error is reported when the file is read


def _chosen(job: Job, number: int, places: Places) -> Job:
    """The job with the page that was chosen, even if the file has no such page."""
    if job.root is None:  # the output was named as a file
        return replace(job, page=number)
    count = _pages(job, places)
    if count == 1 and number == 1:
        return replace(job, page=number)
    labeled = _of_page(job, number, max(count, number))
    return labeled if job.map_root else replace(labeled, expert_map=job.expert_map)


def _of_page(job: Job, number: int, count: int) -> Job:
    if count == 1:
        return job
    label = f"_page{number:0{len(str(count))}}"
    chart = job.expert_map
    return replace(
        job,
        page=number,
        target=_labeled(job.target, label),
        expert_map=None if chart is None else _map_name(chart, label),
    )


def _labeled(path: Path, label: str) -> Path:
    return path.with_name(f"{path.stem}{label}{path.suffix}")


def _map_name(path: Path, label: str) -> Path:
    """The name with the label before the "_experts" of maps of experts."""
    stem = path.stem.removesuffix("_experts")
    return path.with_name(f"{stem}{label}{path.stem[len(stem) :]}{path.suffix}")
