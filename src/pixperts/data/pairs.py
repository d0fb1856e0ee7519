"""Training pairs of image restoration: which degraded file belongs to which clean one.

Lists of files only, sorted, their sizes checked by headers; `read_pair` decodes one entry. Every
reader raises DataError, in one sentence, for the folder that is missing or empty, or for all files
that lack a partner, share a name, cannot be read or differ in size from their partner.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from pixperts.data.image_files import PictureFile, picture_size, read_opaque
from pixperts.data.shards import read_pair_shards
from pixperts.degradations.tasks import TASKS
from pixperts.errors import DataError, ImageError, UsageError
from pixperts.io.folders import walk
from pixperts.io.formats import SUFFIXES

# RESIDE's indoor clear pictures have a frame that the hazy ones lack: 640x480 against 620x460.
_FRAME = 10

# With pictures that cannot be read, so that they are refused and not overlooked.
_LISTED = frozenset([*SUFFIXES, ".bmp", ".gif", ".heic", ".avif", ".jp2", ".ppm", ".pgm"])

Keys = Mapping[Path, str]  # file -> what it shares with its partner


@dataclass(frozen=True)
class Pair:
    """A clean picture, its degraded version, and the label of what happened to it.

    Where `degraded` is None, `tasks.degrade` makes it, so UsageError unless the task is a
    key of `tasks.TASKS`.
    """

    clean: PictureFile
    degraded: PictureFile | None
    task: str

    def __post_init__(self) -> None:
        if self.degraded is None and self.task not in TASKS:
            known = ", ".join(TASKS)
            raise UsageError(f"There is no degradation {self.task!r} to make: choose from {known}.")


class PairingError(DataError):
    """Pictures that do not pair up: `faults` (file, reason), and the `pairs` that do."""

    def __init__(
        self, message: str, faults: Sequence[tuple[str, str]] = (), pairs: Sequence[Pair] = ()
    ) -> None:
        super().__init__(message)
        self.faults, self.pairs = list(faults), list(pairs)


def match_folders(degraded: Path, clean: Path, task: str = "pair") -> list[Pair]:
    """Pair two folders of equal trees: same relative path, whatever the suffix.

    JPEG, PNG, WebP, TIFF and plain BMP; hidden files are left out and links followed. Sizes must be
    equal, but for RESIDE's frame (see `read_pair`). Raises DataError as the module says.
    """
    if degraded.resolve() == clean.resolve():
        raise DataError(f"{degraded} is given as degraded and as clean: name two folders.")
    return join(tree(degraded, repr(task)), tree(clean, repr(task)), task)


def read_packed(root: Path) -> list[Pair]:
    """Pairs of a .tar file or a folder of shards, in order, once for each of their tasks.

    Raises DataError for a damaged shard or one of photos, UsageError for an unknown task of a
    pair whose degraded version is yet to be made.
    """
    return [
        Pair(sample.clean, sample.degraded, task)
        for sample in read_pair_shards(root)
        for task in sample.tasks
    ]


def packed_tasks(root: Path) -> tuple[str, ...]:
    """The tasks that a packed set of pairs names, in order of appearance; DataError."""
    return tuple(dict.fromkeys(pair.task for pair in read_packed(root)))


def read_pair(pair: Pair) -> tuple[Tensor | None, Tensor]:
    """Degraded (None where it is yet to be made) and clean, uint8 (3, H, W) of equal size.

    Gray comes in three equal channels, 16 bit as the nearest 8-bit level. A clean picture with
    RESIDE's frame of 10 pixels loses it where the task is "haze". Raises DataError for an alpha
    channel or different sizes, ImageError for a file that cannot be read.
    """
    clean = read_opaque(pair.clean)
    if pair.degraded is None:
        return None, clean
    degraded = read_opaque(pair.degraded)
    (height, width), (rows, columns) = degraded.shape[1:], clean.shape[1:]
    if not fits(pair.task, (width, height), (columns, rows)):
        raise DataError(
            f"{pair.degraded} of {width}x{height} pixels does not fit {pair.clean} of "
            f"{columns}x{rows}: put the right pictures there."
        )
    if rows > height:
        clean = clean[:, _FRAME:-_FRAME, _FRAME:-_FRAME].contiguous()
    return degraded, clean


def tree(root: Path, title: str) -> Keys:
    """The pictures below a folder by relative path without suffix; `title` as `pictures_in`."""
    return {path: str(path.relative_to(root).with_suffix("")) for path in pictures_in(root, title)}


def join(degraded: Keys, clean: Keys, task: str, shared: bool = False) -> list[Pair]:
    """Pairs of equal keys; `shared`: many degraded pictures to one clean, some clean for none."""
    bad, good = _groups(degraded), _groups(clean)
    pairs = [Pair(good[key][0], path, task) for path, key in degraded.items() if key in good]
    sizes = {path: size_or_none(path) for path in (*degraded, *clean)}
    unequal: dict[Path, str] = {}
    for path, key in degraded.items():
        size, wanted = sizes[path], sizes[good[key][0]] if key in good else None
        if size and wanted and not fits(task, size, wanted):
            unequal[path] = "{}x{}, clean {}x{}".format(*size, *wanted)
    alone = [path for path, key in degraded.items() if key not in good]
    unused = [path for path, key in clean.items() if key not in bad and not shared]
    twice = [ps for ps in (*good.values(), *([] if shared else bad.values())) if len(ps) > 1]
    unreadable = [path for path, size in sizes.items() if size is None]
    faults = [
        *fault("without clean partner", alone),
        *fault("without degraded partner", unused),
        *fault("of one name", [" and ".join(map(str, ps)) for ps in twice]),
        *fault("unreadable", unreadable),
        *fault("unequal in size", [f"{path} {how}" for path, how in unequal.items()]),
    ]
    if faults:
        single = [(path, "no clean partner") for path in alone]
        single += [(path, "no degraded partner") for path in unused]
        single += [(path, f"same name as {ps[0]}") for ps in twice for path in ps[1:]]
        single += [(path, "unreadable") for path in unreadable]
        single += [(path, f"sizes differ: {how}") for path, how in unequal.items()]
        wrong = {path for path, _ in single}
        raise PairingError(
            f"Pictures of {task!r} do not pair up: {', '.join(faults)}; correct these.",
            [(str(path), what) for path, what in single],
            [pair for pair in pairs if wrong.isdisjoint((pair.clean, pair.degraded))],
        )
    return pairs


def _groups(keys: Keys) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path, key in keys.items():
        found.setdefault(key, []).append(path)
    return found


def fault(what: str, cases: Sequence[object]) -> list[str]:
    """The words on faulty files, three of them by name; nothing where there are none."""
    shown = [*map(str, cases[:3]), *(["..."] if len(cases) > 3 else [])]
    return [f"{len(cases)} {what} ({', '.join(shown)})"] if cases else []


def fits(task: str, degraded: tuple[int, int], clean: tuple[int, int]) -> bool:
    """Whether the sizes of a pair agree, or differ by RESIDE's frame."""
    cut = {clean[0] - degraded[0], clean[1] - degraded[1]}
    return cut == {0} or (task == "haze" and cut == {2 * _FRAME})


def pictures_in(folder: Path, title: str) -> list[Path]:
    """The pictures below a folder, sorted; DataError where there is none of what `title` says.

    Linked folders are entered: sets are often put together from links.
    """
    try:
        found = [
            parent / name
            for parent, _, names in walk(folder, links=True)
            for name in names
            if Path(name).suffix.lower() in _LISTED
        ]
    except ImageError as error:
        raise DataError(str(error)) from None
    if not found:
        raise DataError(f"{folder} holds no picture of {title}: add some.")
    return sorted(found)


def size_or_none(file: PictureFile) -> tuple[int, int] | None:
    """Width and height as seen, from the header; None for what cannot be read."""
    try:
        return picture_size(file)
    except ImageError:
        return None
