"""Training pairs of image restoration: which degraded file belongs to which clean one.

Readers list files, sorted, and check sizes by headers; `read_pair` decodes one pair. Every reader
raises DataError if a folder is missing or empty, and PairingError if files lack a partner, share a
name, cannot be read or differ in size from their partner; it names all of them.
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

# Includes formats that cannot be read, so that such files raise an error and are not overlooked.
_LISTED = frozenset([*SUFFIXES, ".bmp", ".gif", ".heic", ".avif", ".jp2", ".ppm", ".pgm"])

Keys = Mapping[Path, str]  # file -> text that its partner has as well


@dataclass(frozen=True)
class Pair:
    """A clean picture, its degraded version, and the task, which names the degradation.

    If `degraded` is None, it is made by `tasks.degrade`; a task that is no key of `tasks.TASKS`
    then raises UsageError.
    """

    clean: PictureFile
    degraded: PictureFile | None
    task: str

    def __post_init__(self) -> None:
        if self.degraded is None and self.task not in TASKS:
            known = ", ".join(TASKS)
            raise UsageError(f"There is no degradation {self.task!r} to make: choose from {known}.")


class PairingError(DataError):
    """Some pictures have no partner.

    Attributes:
        faults: (file, reason) of each such picture.
        pairs: those that match.
    """

    def __init__(
        self, message: str, faults: Sequence[tuple[str, str]] = (), pairs: Sequence[Pair] = ()
    ) -> None:
        super().__init__(message)
        self.faults, self.pairs = list(faults), list(pairs)


def match_folders(degraded: Path, clean: Path, task: str = "pair") -> list[Pair]:
    """Pair the pictures of two folders by their relative paths without endings.

    Reads JPEG, PNG, WebP, TIFF and plain BMP. Hidden files are left out, links are followed. Sizes
    must be equal, except for the frame of RESIDE (see `read_pair`).

    Args:
        degraded: folder of degraded pictures.
        clean: folder of clean pictures.
        task: of the pairs.

    Raises:
        DataError: a folder is missing or empty, or files do not match (see the module).
    """
    if degraded.resolve() == clean.resolve():
        raise DataError(f"{degraded} is given as degraded and as clean: name two folders.")
    return join(tree(degraded, repr(task)), tree(clean, repr(task)), task)


def read_packed(root: Path) -> list[Pair]:
    """Pairs of a .tar file or a folder of shards, in order, once for each of their tasks.

    Raises:
        DataError: a shard is damaged or holds photos.
        UsageError: a pair is to be degraded on the fly by an unknown task.
    """
    return [
        Pair(sample.clean, sample.degraded, task)
        for sample in read_pair_shards(root)
        for task in sample.tasks
    ]


def packed_tasks(root: Path) -> tuple[str, ...]:
    """The tasks of a packed set of pairs, in order of appearance; errors as `read_packed`."""
    return tuple(dict.fromkeys(pair.task for pair in read_packed(root)))


def read_pair(pair: Pair) -> tuple[Tensor | None, Tensor]:
    """The degraded picture (None if it is to be made on the fly) and the clean one.

    Both are uint8 (3, H, W) of equal size. Gray pictures have three equal channels, 16-bit samples
    are rounded to 8 bits. For the task "haze", the frame of 10 pixels around clean pictures of
    RESIDE is cut off.

    Raises:
        DataError: an alpha channel, or different sizes.
        ImageError: a file cannot be read.
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
    """The pictures below a folder, with their relative paths without endings as keys.

    `title` names the kind of pictures in errors.
    """
    return {path: str(path.relative_to(root).with_suffix("")) for path in pictures_in(root, title)}


def join(degraded: Keys, clean: Keys, task: str, shared: bool = False) -> list[Pair]:
    """Pair files with equal keys.

    With `shared`, several degraded pictures may have the same clean one, and clean pictures without
    a partner are ignored.

    Raises:
        PairingError: files lack a partner, share a key, cannot be read or differ in size.
    """
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
    """Text on faulty files, which names three of them, in a list; empty without any."""
    shown = [*map(str, cases[:3]), *(["..."] if len(cases) > 3 else [])]
    return [f"{len(cases)} {what} ({', '.join(shown)})"] if cases else []


def fits(task: str, degraded: tuple[int, int], clean: tuple[int, int]) -> bool:
    """Whether the (width, height) of a pair are equal, or differ by the frame of RESIDE."""
    cut = {clean[0] - degraded[0], clean[1] - degraded[1]}
    return cut == {0} or (task == "haze" and cut == {2 * _FRAME})


def pictures_in(folder: Path, title: str) -> list[Path]:
    """The pictures below a folder, sorted; DataError if there are none, which names `title`.

    Linked folders are entered, because sets are often put together from links.
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
    """(width, height) in pixels by the header, rotation included; None if it cannot be read."""
    try:
        return picture_size(file)
    except ImageError:
        return None
