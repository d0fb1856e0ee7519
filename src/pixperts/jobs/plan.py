"""Who goes where: the jobs of a run, settled before the first picture is read."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pixperts.errors import PixpertsError, UsageError
from pixperts.io.decode import header_size
from pixperts.io.formats import CONTAINERS, SUFFIXES, is_image_path, is_video_path
from pixperts.io.image import format_of
from pixperts.io.writable import format_of_name, writable_endings
from pixperts.jobs.beside import Placed, beside
from pixperts.jobs.clashes import without_clashes
from pixperts.jobs.inputs import Found, find
from pixperts.jobs.job import Job
from pixperts.jobs.names import SIZES, Template, Value, numbered
from pixperts.jobs.options import FolderOptions
from pixperts.jobs.pages import by_page
from pixperts.jobs.places import LOCAL, Places

NewSize = Callable[[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Plan:
    """The jobs in order, remarks such as on entries left out, what happens to what exists.

    `everything` holds the jobs of all shards; `jobs` those of this run.
    """

    jobs: list[Job]
    remarks: list[str]
    if_exists: str
    everything: list[Job]
    sized: bool = True  # whether sizes of pictures are known before they are read


def plan(
    inputs: Sequence[str | Path],
    output: str | None,
    expert_map: str | None = None,
    options: FolderOptions | None = None,
    *,
    new_size: NewSize = lambda width, height: (width, height),
    model: Callable[[], str] = lambda: "model",
    label: str = "result",
    page: int | str | None = None,
    places: Places = LOCAL,
) -> Plan:
    """The jobs of a command line; see `inputs.find` for what INPUT may be.

    `output` is a file for a single input unless it is an existing folder or ends in a slash, and
    else a folder that receives names by the template; `expert_map` goes by the same rule, and its
    folder receives OUTPUT_experts.png. `new_size` and `model` fill in the template. Where
    `output` is None, results lie beside their inputs, with `label` in their names, or replace
    them (`options.in_place`). `page` is that of `FileOptions`, and `places` says where all files
    lie. Jobs whose outputs would share a name, or be an input, get a `problem`; the others run.
    All this is settled for all inputs, and only then come those of `options.shard`, so that names
    are the same on any number of machines.

    Raises:
        UsageError: no pictures, a file named for several inputs, no output with a name of its
            own, an output that, if so wished, exists.
        ImageError: a folder that cannot be listed.
    """
    options = options or FolderOptions()
    if options.in_place and output is not None:
        raise UsageError(f"--in-place replaces the inputs: leave --output {output} out.")
    sources = [places.path(given) for given in inputs]
    single = len(sources) == 1 and not places.is_folder(sources[0])
    goals = [goal for goal in (output, expert_map) if goal is not None]
    barred = [places.path(goal) for goal in goals if not (single and _is_file(goal, places))]
    listing = find(sources, recursive=options.recursive, outputs=barred, places=places)
    found, remarks = listing.found, listing.remarks
    if options.format is not None and all(is_video_path(one.path) for one in found):
        raise UsageError("--format is for pictures: give videos an ending by -o or --name.")
    named, namer = False, _Namer(new_size, model, places)
    if output is None and options.in_place:
        jobs = [Job(one.path, one.path, in_place=True) for one in found]
    elif output is None:
        placed = beside(found, label, options, places)
        found, jobs = _without_results(placed, namer, page)
        remarks = [*remarks, *_left_out(len(placed) - len(found))]
    elif (folder := _folder(output, listing.several, places)) is None:
        named = True
        jobs = [Job(found[0].path, places.path(output))]
        _check_named(jobs[0], options)
    else:
        jobs = _in_folder([Placed(one, folder, options.template) for one in found], namer)
    if expert_map is not None:
        jobs = _with_maps(jobs, found, expert_map, listing.several, places)
    if page is not None and options.in_place:
        raise UsageError("--page with --in-place would lose the other pages: leave one out.")
    jobs = by_page(jobs, page, places)
    jobs = [replace(job, problem=job.problem or places.problem(job)) for job in jobs]
    policy = options.if_exists or ("overwrite" if named or options.in_place else "skip")
    places.survey(jobs, outputs=policy != "overwrite")
    if policy == "rename":
        jobs = _renamed(jobs, places)
    jobs = without_clashes(jobs, None if options.manifest is None else Path(options.manifest))
    everything, part = jobs, options.part
    if part is not None:
        names = {one.path: places.named(one.name) for one in listing.found}
        jobs = [job for job in jobs if part.holds(names[job.source])]
        remarks = [*remarks, f"Shard {part} holds {len(jobs)} of {len(everything)} pictures."]
    if policy == "error":
        for job in jobs:
            for target in filter(None, (job.target, job.expert_map)):
                if job.problem is None and places.exists(target, fresh=False):
                    raise UsageError(f"{target} exists: move it, or choose another --if-exists.")
    return Plan(jobs, remarks, policy, everything)


def _is_file(goal: str, places: Places) -> bool:
    return _is_media(goal) and not (_ends_in_slash(goal) or places.is_folder(places.path(goal)))


def _is_media(goal: str | Path) -> bool:
    return is_image_path(goal) or is_video_path(goal)


def _ends_in_slash(goal: str) -> bool:
    return goal.endswith(tuple(filter(None, ("/", os.sep))))


def _folder(output: str, several: bool, places: Places) -> Path | None:
    """The folder that `output` means; None where it is a file.

    Raises:
        UsageError: where it can be neither.
    """
    folder = places.path(output)
    if _ends_in_slash(output) or places.is_folder(folder):
        return folder
    if several:
        if places.exists(folder) or _is_media(folder):
            raise UsageError(f"{output} is named as a file, but several pictures need a folder.")
        return folder
    if not _is_media(folder):
        raise UsageError(
            f"{output} is not an existing folder and does not end in {writable_endings()}, or for "
            f"a video {', '.join(CONTAINERS)}: give it one of these endings, or a slash at the end "
            "for a new folder."
        )
    return None


def _check_named(job: Job, options: FolderOptions) -> None:
    if options.name is not None:
        raise UsageError(
            f"--name is for outputs in a folder, but {job.target} is a file: leave it out."
        )
    if not is_video_path(job.source):  # for videos, reading says it
        format_of(job.target, None)
    if options.format is not None:
        kind = SUFFIXES.get(job.target.suffix.lower())
        if format_of_name(options.format) != kind:
            raise UsageError(
                f"{job.target} and --format {options.format} contradict each other: leave one out."
            )


def _without_results(
    placed: Sequence[Placed], namer: "_Namer", page: int | str | None
) -> tuple[list[Found], list[Job]]:
    """Inputs and jobs, without those inputs that are results of others from an earlier run."""
    jobs = _in_folder(placed, namer)
    made = [*jobs, *by_page(jobs, page, namer.places)]
    results = {os.path.abspath(job.target): job.source for job in made if job.problem is None}
    kept = [
        (place.found, job)
        for place, job in zip(placed, jobs, strict=True)
        if results.get(os.path.abspath(job.source), job.source) == job.source
    ]
    return [one for one, _ in kept], [job for _, job in kept]


def _left_out(count: int) -> list[str]:
    if not count:
        return []
    if count == 1:
        return ["1 input was left out: by its name, it is the result of another input."]
    return [f"{count} inputs were left out: by their names, they are results of other inputs."]


def _in_folder(placed: Sequence[Placed], namer: "_Namer") -> list[Job]:
    """Jobs whose targets lie in folders, named by templates."""
    jobs = []
    nameless: list[UsageError] = []
    for number, (one, folder, template) in enumerate(placed, start=1):
        try:
            name = template.render(one.path, namer.values(one.path, number, template))
        except PixpertsError as error:  # no readable header or no name: the others run
            target = folder / one.below / one.path.name
            jobs.append(Job(one.path, target, root=folder, problem=str(error)))
            nameless += [error] if isinstance(error, UsageError) else []
            continue
        jobs.append(Job(one.path, folder / one.below / name, root=folder))
    if nameless and len(nameless) == len(jobs):
        raise nameless[0]
    return jobs


@dataclass(frozen=True)
class _Namer:
    """What the fields of a template stand for."""

    new_size: NewSize
    model: Callable[[], str]
    places: Places

    def values(self, path: Path, number: int, template: Template) -> dict[str, Callable[[], Value]]:
        """Of one input, the `number`th."""
        values: dict[str, Callable[[], Value]] = {"model": self.model, "index": lambda: number}
        if template.needs(*SIZES):
            with self.places.reading(path) as file:
                width, height = _size_of(file)
            try:
                new = self.new_size(width, height)
            except UsageError as error:
                raise PixpertsError(f"{path}: {error}") from None
            values["scale"] = lambda: f"{new[0] / width:.4g}"
            values["width"] = lambda: new[0]
            values["height"] = lambda: new[1]
        return values


def _size_of(path: Path) -> tuple[int, int]:
    """(width, height) as it is shown, by the header."""
    if not is_video_path(path):
        return header_size(path)
    from pixperts.video.clip import read_clip

    return read_clip(path).size


def _with_maps(
    jobs: Sequence[Job], found: Sequence[Found], expert_map: str, several: bool, places: Places
) -> list[Job]:
    folder = _folder(expert_map, several, places)
    if folder is None:
        if Path(expert_map).suffix.lower() != ".png":
            raise UsageError(f"{expert_map}: the map of experts needs a name ending in .png.")
        return [replace(jobs[0], expert_map=places.path(expert_map))]
    return [
        replace(
            job,
            # By the source where the output has a name of its own, outside of any folder.
            expert_map=folder / one.below
            / f"{(job.source if job.root is None else job.target).stem}_experts.png",
            map_root=folder,
        )
        for job, one in zip(jobs, found, strict=True)
    ]  # fmt: skip


def _renamed(jobs: Sequence[Job], places: Places) -> list[Job]:
    """The jobs with numbers behind the names that exist; picture and map get the same."""
    taken = {os.path.abspath(p) for job in jobs for p in (job.target, job.expert_map) if p}
    result = []
    for job in jobs:
        target, chart, number = job.target, job.expert_map, 0
        while any(places.exists(path, fresh=False) for path in (target, chart) if path):
            number += 1
            target = numbered(job.target, number)
            chart = _map_of(job, target, number)
            both = {os.path.abspath(path) for path in (target, chart) if path}
            if not taken.isdisjoint(both):
                target, chart = job.target, job.expert_map  # taken by another job: count on
        taken |= {os.path.abspath(path) for path in (target, chart) if path}
        result.append(replace(job, target=target, expert_map=chart))
    return result


def _map_of(job: Job, target: Path, number: int) -> Path | None:
    """The map's name beside a target that was renamed."""
    if job.expert_map is None or job.root is None or job.map_root is None:
        return job.expert_map and numbered(job.expert_map, number)
    return job.expert_map.with_name(f"{target.stem}_experts.png")


def check_inside(target: Path, root: Path | None) -> None:
    """Raise UsageError where a symbolic link would lead the target out of `root`.

    Nothing is checked for a root of None, that is for a file that was named as such.
    """
    if root is None:
        return
    if target.is_symlink():
        raise UsageError(
            f"{target} is a symbolic link, which is not followed: remove it, or name another "
            "output folder."
        )
    folder, home = os.path.realpath(target.parent), os.path.realpath(root)
    if not Path(folder).is_relative_to(home):
        raise UsageError(
            f"{target} would be written to {folder}, outside of {root}, through a symbolic link: "
            "remove the link, or name another output folder."
        )
