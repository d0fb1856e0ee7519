"""Plan a run: which file becomes which, before the first picture is read."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pixperts.errors import PixpertsError, UsageError, named
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
    """The jobs of a run.

    Attributes:
        jobs: of this run or shard, in order.
        remarks: sentences for the user, such as on files that were left out.
        if_exists: what happens to outputs that exist; one of `options.POLICIES`.
        everything: the jobs of all shards.
        sized: whether the sizes of pictures can be read before the work begins.
    """

    jobs: list[Job]
    remarks: list[str]
    if_exists: str
    everything: list[Job]
    sized: bool = True


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
    """The jobs of a run.

    Jobs whose outputs would share a name, or would be an input, get a `problem`; the others run.
    Names are chosen for all inputs before those of `options.shard` are picked, so that they are
    the same on any number of machines.

    Args:
        inputs: see `inputs.find`.
        output: a file for a single input, unless it is an existing folder or ends in a slash; else
            a folder, in which names follow the template of `options`. None: results lie beside
            their inputs, with `label` in their names, or replace them (`options.in_place`).
        expert_map: likewise, for maps of experts; in a folder their names are
            OUTPUT_experts.png. None: no maps.
        options: which inputs, which names, and what happens to outputs that exist.
        new_size: (width, height) of a result, from that of the input; for the template.
        model: name of the model, for the template.
        label: text for the names of results beside their inputs.
        page: as in `FileOptions`.
        places: where all files lie.

    Raises:
        UsageError: no pictures, a file as output of several inputs, no job without a problem, or
            an output that exists while `options.if_exists` is "error".
        ImageError: a folder cannot be listed.
    """
    options = options or FolderOptions()
    if options.in_place and output is not None:
        raise UsageError(
            f"{named('in_place')} replaces the inputs: leave {named('output', output)} out."
        )
    sources = [places.path(given) for given in inputs]
    single = len(sources) == 1 and not places.is_folder(sources[0])
    goals = [goal for goal in (output, expert_map) if goal is not None]
    barred = [places.path(goal) for goal in goals if not (single and _is_file(goal, places))]
    listing = find(sources, recursive=options.recursive, outputs=barred, places=places)
    found, remarks = listing.found, listing.remarks
    if options.format is not None and all(is_video_path(one.path) for one in found):
        raise UsageError(
            f"{named('format')} is for pictures: give videos an ending by "
            f"{named('output', option='-o')} or {named('name')}."
        )
    is_named, namer = False, _Namer(new_size, model, places)
    if output is None and options.in_place:
        jobs = [Job(one.path, one.path, in_place=True) for one in found]
    elif output is None:
        placed = beside(found, label, options, places)
        found, jobs = _without_results(placed, namer, page)
        remarks = [*remarks, *_left_out(len(placed) - len(found))]
    elif (folder := _folder(output, listing.several, places)) is None:
        is_named = True
        jobs = [Job(found[0].path, places.path(output))]
        _check_named(jobs[0], options)
    else:
        jobs = _in_folder([Placed(one, folder, options.template) for one in found], namer)
    if expert_map is not None:
        jobs = _with_maps(jobs, found, expert_map, listing.several, places)
    if page is not None and options.in_place:
        raise UsageError(
            f"{named('page')} with {named('in_place')} would lose the other pages: leave one out."
        )
    jobs = by_page(jobs, page, places)
    jobs = [replace(job, problem=job.problem or places.problem(job)) for job in jobs]
    policy = options.if_exists or ("overwrite" if is_named or options.in_place else "skip")
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
                    raise UsageError(
                        f"{target} exists: move it, or choose another {named('if_exists')}."
                    )
    return Plan(jobs, remarks, policy, everything)


def _is_file(goal: str, places: Places) -> bool:
    return _is_media(goal) and not (_ends_in_slash(goal) or places.is_folder(places.path(goal)))


def _is_media(goal: str | Path) -> bool:
    return is_image_path(goal) or is_video_path(goal)


def _ends_in_slash(goal: str) -> bool:
    return goal.endswith(tuple(filter(None, ("/", os.sep))))


def _folder(output: str, several: bool, places: Places) -> Path | None:
    """The folder that `output` names; None if it names a file.

    Raises:
        UsageError: it can be neither.
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
            f"{named('name')} is for outputs in a folder, but {job.target} is a file: leave it out."
        )
    if not is_video_path(job.source):  # videos are checked when they are read
        format_of(job.target, None)
    if options.format is not None:
        kind = SUFFIXES.get(job.target.suffix.lower())
        if format_of_name(options.format) != kind:
            raise UsageError(
                f"{job.target} and {named('format', options.format)} contradict each other: leave "
                "one out."
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
    """Gives the values of the fields of a template."""

    new_size: NewSize
    model: Callable[[], str]
    places: Places

    def values(self, path: Path, number: int, template: Template) -> dict[str, Callable[[], Value]]:
        """The values for one input, the `number`th, as functions."""
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
    """(width, height) in pixels by the header, rotation included."""
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
            # Named after the source if the output was named as a file.
            expert_map=folder / one.below
            / f"{(job.source if job.root is None else job.target).stem}_experts.png",
            map_root=folder,
        )
        for job, one in zip(jobs, found, strict=True)
    ]  # fmt: skip


def _renamed(jobs: Sequence[Job], places: Places) -> list[Job]:
    """The jobs with a number added to names that exist, the same for picture and map."""
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
    """Raise UsageError if a symbolic link leads the target out of the folder `root`.

    Nothing is checked if `root` is None, that is for an output that was named as a file.
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
