"""Training pairs of image restoration: which degraded file belongs to which clean one.

Lists of files only, sorted, their sizes checked by headers; `read_pair` decodes one entry. The
layouts are those of AirNet, PromptIR (arXiv 2306.13090) and MoCE-IR (arXiv 2411.18466). Every
reader raises DataError, in one sentence, for the folder that is missing or empty, or for all files
that lack a partner, share a name, cannot be read or differ in size from their partner.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from pixperts.degradations import COMPOSITIONS, TASKS
from pixperts.errors import DataError, ImageError, UsageError
from pixperts.image import SUFFIXES
from pixperts.pictures import PictureFile, picture_size, read_opaque
from pixperts.shards import is_packed, read_pair_shards

# How often the released code of MoCE-IR lists each task's pairs in an epoch. AIO-5 is scored at
# noise level 25, but its released training command names 15 and 50 as well.
REPEATS: Mapping[str, Mapping[str, int]] = {
    "aio3": {"haze": 1, "rain": 120, "noise15": 3, "noise25": 3, "noise50": 3},
    "aio5": {
        "haze": 1,
        "rain": 120,
        "noise15": 3,
        "noise25": 3,
        "noise50": 3,
        "blur": 5,
        "low_light": 20,
    },
    "cdd11": dict.fromkeys(COMPOSITIONS, 2),
}

# A mixture of one step is a task that is there already ("low" is "low_light").
_MIXED = [task for task, steps in COMPOSITIONS.items() if len(steps) > 1]

TASK_SETS: Mapping[str, tuple[str, ...]] = {
    **{name: tuple(repeats) for name, repeats in REPEATS.items()},
    "all": tuple(dict.fromkeys([*REPEATS["aio3"], *REPEATS["aio5"], "snow", *_MIXED])),
}

_LAYOUTS_OF = {
    "aio3": ("haze", "rain", "denoise"),
    "aio5": ("haze", "rain", "denoise", "blur", "low_light"),
    "cdd11": ("cdd11",),
}
_TITLES = {
    "denoise": "clean photos (BSD400 and WED)",
    "rain": "rain (RainTrainL)",
    "haze": "haze (RESIDE OTS)",
    "blur": "blur (GoPro)",
    "low_light": "low light (LOLv1)",
    "cdd11": "mixtures (CDD-11)",
}

_NOISES = ("noise15", "noise25", "noise50")
_TASKS_OF: Mapping[str, tuple[str, ...]] = {
    "denoise": _NOISES,
    "rain": ("rain",),
    "haze": ("haze",),
    "blur": ("blur",),
    "low_light": ("low_light",),
    "cdd11": tuple(COMPOSITIONS),
}
PACKED = "packed"  # among the layouts: shards of whatever the others do not name

# Degraded and clean folder below a layout's root; the first two that exist are read.
_FOLDERS = {
    "rain": (("rainy", "gt"), ("rain", "norain"), ("input", "target")),
    "haze": (("synthetic", "original"), ("hazy", "clear"), ("input", "target")),
    "blur": (
        ("crop/train/input_crops", "crop/train/target_crops"),
        ("train/input_crops", "train/target_crops"),
        ("input_crops", "target_crops"),
    ),
    "low_light": (("our485/low", "our485/high"), ("Train/input", "Train/target"), ("low", "high")),
}

# RESIDE's indoor clear pictures have a frame that the hazy ones lack: 640x480 against 620x460.
_FRAME = 10

# With pictures that cannot be read, so that they are refused and not overlooked.
_LISTED = frozenset([*SUFFIXES, ".bmp", ".gif", ".heic", ".avif", ".jp2", ".ppm", ".pgm"])

_Keys = Mapping[Path, str]  # file -> what it shares with its partner


@dataclass(frozen=True)
class Pair:
    """A clean picture, its degraded version, and the label of what happened to it.

    Where `degraded` is None, `degradations.degrade` makes it, so UsageError unless the task is a
    key of `degradations.TASKS`.
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
    return _join(_tree(degraded, task), _tree(clean, task), task)


def read_denoise(root: Path) -> list[Pair]:
    """Clean photos for synthetic noise, each as "noise15", "noise25" and "noise50".

    `BSD400/` and `WaterlooED/` (or `WED/`), or, with neither, every picture below the root.
    """
    wed = root / ("WED" if (root / "WED").is_dir() else "WaterlooED")
    named = [root / "BSD400", wed]
    folders = named if any(folder.is_dir() for folder in named) else [root]
    _need(root, "denoise", folders)
    photos = [path for folder in folders for path in _pictures(folder, "denoise")]
    bad = {path: "unreadable" for path in photos if _size(path) is None}
    pairs = [Pair(path, None, task) for task in _NOISES for path in photos if path not in bad]
    if faults := _fault("unreadable", list(bad)):
        raise PairingError(
            f"{root} holds pictures that do not serve: {faults[0]}; replace these.",
            [(str(path), what) for path, what in bad.items()],
            pairs,
        )
    return pairs


def read_rain(root: Path) -> list[Pair]:
    """RainTrainL: `rain-N.png` and `norain-N.png`, in one folder or in `rainy/` and `gt/`.

    Also `rain/` and `norain/`, or `input/` and `target/`, with or without the prefixes.
    """
    sides = [sorted(root.glob("rain-*")), sorted(root.glob("norain-*"))]
    if not any(sides):
        sides = [_pictures(folder, "rain") for folder in _folders(root, "rain")]
    rainy, clean = ({path: path.stem.rpartition("rain-")[2] for path in side} for side in sides)
    return _join(rainy, clean, "rain")


def read_haze(root: Path) -> list[Pair]:
    """RESIDE OTS: several `NAME_A_BETA.jpg` for each clear `NAME.jpg`.

    `part1/` to `part4/` (all four) and `clear/`, or `synthetic/` and `original/`, or `hazy/` and
    `clear/`, or `input/` and `target/`. Clear pictures that no hazy one uses are left out.
    """
    parts, clear = [root / f"part{number}" for number in (1, 2, 3, 4)], root / "clear"
    if any(part.is_dir() for part in parts):
        _need(root, "haze", [*parts, clear])
    else:
        *parts, clear = _folders(root, "haze", "part1/ to part4/ and clear/")
    hazy = {path: path.stem.split("_")[0] for part in parts for path in _pictures(part, "haze")}
    return _join(hazy, {p: p.stem for p in _pictures(clear, "haze")}, "haze", shared=True)


def read_blur(root: Path) -> list[Pair]:
    """GoPro: crops in two flat folders, or whole frames in `train/SEQUENCE/blur` and `sharp`.

    Crops come first, the published repetitions are theirs: `input_crops/` and `target_crops/` in
    `crop/train/`, `train/` or the root. Then frames, without those of `blur_gamma`.
    """
    base = root / "train" if (root / "train").is_dir() else root
    halves = [sorted(base.glob(f"*/{half}/")) for half in ("blur", "sharp")]
    flat = any((root / name).is_dir() for names in _FOLDERS["blur"] for name in names)
    if flat or not any(halves):
        first, second = _folders(root, "blur", "train/SEQUENCE/blur and train/SEQUENCE/sharp")
        return _join(_tree(first, "blur"), _tree(second, "blur"), "blur")
    blurred, sharp = (
        {p: str(half.parent / p.stem) for half in found for p in _pictures(half, "blur")}
        for found in halves
    )
    return _join(blurred, sharp, "blur")


def read_low_light(root: Path) -> list[Pair]:
    """LOLv1: `our485/low` and `high`, or `Train/input` and `target`, or `low/` and `high/`."""
    low, high = _folders(root, "low_light")
    return _join(_tree(low, "low_light"), _tree(high, "low_light"), "low_light")


def read_cdd11(root: Path) -> list[Pair]:
    """CDD-11: `clear/` and all of `degradations.COMPOSITIONS`, which name folders and tasks.

    In `train/`, `CDD-11_train/` or the root.
    """
    places = (root / "train", root / "CDD-11_train")
    base = next((place for place in places if place.is_dir()), root)
    _need(base, "cdd11", [base / "clear", *(base / task for task in COMPOSITIONS)])
    trees = {task: _tree(base / task, "cdd11") for task in ("clear", *COMPOSITIONS)}
    pairs, errors = [], []
    for task in COMPOSITIONS:
        try:
            pairs += _join(trees[task], trees["clear"], task)
        except PairingError as error:
            pairs += error.pairs
            errors.append(error)
    if errors:
        faults = dict.fromkeys(fault for error in errors for fault in error.faults)
        raise PairingError(errors[0].args[0], list(faults), pairs)
    return pairs


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


LAYOUTS: Mapping[str, Callable[[Path], list[Pair]]] = {
    "denoise": read_denoise,
    "rain": read_rain,
    "haze": read_haze,
    "blur": read_blur,
    "low_light": read_low_light,
    "cdd11": read_cdd11,
}


def layouts_of(name: str) -> tuple[str, ...]:
    """The layouts that a published set needs; UsageError for an unknown one."""
    if name not in REPEATS:
        raise UsageError(f"There is no published set {name!r}: choose from {', '.join(REPEATS)}.")
    return _LAYOUTS_OF[name]


def packed_tasks(root: Path) -> tuple[str, ...]:
    """The tasks that a packed set of pairs names, in order of appearance; DataError."""
    return tuple(dict.fromkeys(pair.task for pair in read_packed(root)))


def read_task_set(name: str, roots: Mapping[str, Path]) -> list[Pair]:
    """All pairs of a published training set, task by task, as often as `REPEATS` says.

    `roots` gives a folder for each layout (see `LAYOUTS`) that the set needs; others are ignored.
    A folder of shards may stand for any of them, and as "packed" for all that are not named.
    Raises UsageError for an unknown set, DataError for a missing root and as the module says.
    """
    layouts = layouts_of(name)
    missing = [
        f"{layout!r}: {_TITLES[layout]}"
        for layout in layouts
        if layout not in roots and PACKED not in roots
    ]
    if missing:
        raise DataError(f"The set {name} needs a folder for each of these: {'; '.join(missing)}.")
    pairs = [pair for layout in layouts for pair in read_layout(layout, roots)]
    listed: list[Pair] = []
    for task, count in REPEATS[name].items():
        listed += [pair for pair in pairs if pair.task == task] * count
    return listed


def read_layout(layout: str, roots: Mapping[str, Path]) -> list[Pair]:
    """The pairs of one layout as `read_task_set` finds them, each once; its errors."""
    root = roots.get(layout) or roots[PACKED]
    if layout in roots and not is_packed(root):
        return LAYOUTS[layout](root)
    pairs = [pair for pair in read_packed(root) if pair.task in _TASKS_OF[layout]]
    if lacking := [task for task in _TASKS_OF[layout] if task not in {p.task for p in pairs}]:
        raise DataError(f"{root} holds no pairs of {', '.join(lacking)}: pack {_TITLES[layout]}.")
    return pairs


def read_pair(pair: Pair) -> tuple[Tensor | None, Tensor]:
    """Degraded (None where it is yet to be made) and clean, uint8 (3, H, W) of equal size.

    Grey comes in three equal channels, 16 bit as the nearest 8-bit level. A clean picture with
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


def _tree(root: Path, kind: str) -> _Keys:
    return {path: str(path.relative_to(root).with_suffix("")) for path in _pictures(root, kind)}


def _join(degraded: _Keys, clean: _Keys, task: str, shared: bool = False) -> list[Pair]:
    """Pairs of equal keys; `shared`: many degraded pictures to one clean, some clean for none."""
    bad, good = _groups(degraded), _groups(clean)
    pairs = [Pair(good[key][0], path, task) for path, key in degraded.items() if key in good]
    sizes = {path: _size(path) for path in (*degraded, *clean)}
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
        *_fault("without clean partner", alone),
        *_fault("without degraded partner", unused),
        *_fault("of one name", [" and ".join(map(str, ps)) for ps in twice]),
        *_fault("unreadable", unreadable),
        *_fault("unequal in size", [f"{path} {how}" for path, how in unequal.items()]),
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


def _groups(keys: _Keys) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path, key in keys.items():
        found.setdefault(key, []).append(path)
    return found


def _fault(what: str, cases: Sequence[object]) -> list[str]:
    shown = [*map(str, cases[:3]), *(["..."] if len(cases) > 3 else [])]
    return [f"{len(cases)} {what} ({', '.join(shown)})"] if cases else []


def fits(task: str, degraded: tuple[int, int], clean: tuple[int, int]) -> bool:
    """Whether the sizes of a pair agree, or differ by RESIDE's frame."""
    cut = {clean[0] - degraded[0], clean[1] - degraded[1]}
    return cut == {0} or (task == "haze" and cut == {2 * _FRAME})


def _need(root: Path, layout: str, folders: Sequence[Path]) -> None:
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder; name that of {_TITLES[layout]}.")
    if missing := [folder.name for folder in folders if not folder.is_dir()]:
        raise DataError(f"{root} lacks {', '.join(missing)} of {_TITLES[layout]}: complete it.")


def _folders(root: Path, layout: str, *others: str) -> tuple[Path, Path]:
    for first, second in _FOLDERS[layout]:
        if (root / first).is_dir() and (root / second).is_dir():
            return root / first, root / second
    _need(root, layout, [])
    wanted = ", or ".join([*others, *(f"{a}/ and {b}/" for a, b in _FOLDERS[layout])])
    raise DataError(f"{root} is not laid out as {_TITLES[layout]}: it should hold {wanted}.")


def _pictures(folder: Path, kind: str) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename} cannot be listed ({error.strerror}): name a folder.")

    found = []
    for parent, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        here = Path(parent)
        above = (here.resolve(), *here.resolve().parents)  # a link there would be without end
        folders[:] = [n for n in folders if n[0] != "." and (here / n).resolve() not in above]
        found += [here / n for n in names if n[0] != "." and Path(n).suffix.lower() in _LISTED]
    if not found:
        raise DataError(f"{folder} holds no picture of {_TITLES.get(kind, repr(kind))}: add some.")
    return sorted(found)


def _size(file: PictureFile) -> tuple[int, int] | None:
    """Width and height as seen, from the header; None for what cannot be read."""
    try:
        return picture_size(file)
    except ImageError:
        return None
