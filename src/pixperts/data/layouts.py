"""The folder layouts of published training sets of image restoration, and their shares of an epoch.

The layouts are those of AirNet, PromptIR (arXiv 2306.13090) and MoCE-IR (arXiv 2411.18466). Every
reader raises DataError if a folder is missing or empty, and PairingError if files lack a partner,
share a name, cannot be read or differ in size from their partner; it names all of them.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pixperts.data.pairs import (
    Pair,
    PairingError,
    fault,
    join,
    pictures_in,
    read_packed,
    size_or_none,
    tree,
)
from pixperts.data.shards import is_packed
from pixperts.degradations.tasks import COMPOSITIONS
from pixperts.errors import DataError, UsageError

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
PACKED = "packed"  # among the layouts: shards for all layouts without a folder of their own

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


def read_denoise(root: Path) -> list[Pair]:
    """Clean photos for synthetic noise, each as "noise15", "noise25" and "noise50".

    Reads `BSD400/` and `WaterlooED/` (or `WED/`); without both, every picture below the root.
    """
    wed = root / ("WED" if (root / "WED").is_dir() else "WaterlooED")
    named = [root / "BSD400", wed]
    folders = named if any(folder.is_dir() for folder in named) else [root]
    _need(root, "denoise", folders)
    photos = [path for folder in folders for path in pictures_in(folder, _TITLES["denoise"])]
    bad = {path: "unreadable" for path in photos if size_or_none(path) is None}
    pairs = [Pair(path, None, task) for task in _NOISES for path in photos if path not in bad]
    if faults := fault("unreadable", list(bad)):
        raise PairingError(
            f"{root} holds pictures that cannot be used: {faults[0]}; replace these.",
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
        sides = [pictures_in(folder, _TITLES["rain"]) for folder in _folders(root, "rain")]
    rainy, clean = ({path: path.stem.rpartition("rain-")[2] for path in side} for side in sides)
    return join(rainy, clean, "rain")


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
    title = _TITLES["haze"]
    hazy = {path: path.stem.split("_")[0] for part in parts for path in pictures_in(part, title)}
    return join(hazy, {p: p.stem for p in pictures_in(clear, title)}, "haze", shared=True)


def read_blur(root: Path) -> list[Pair]:
    """GoPro: crops in two flat folders, or whole frames in `train/SEQUENCE/blur` and `sharp`.

    Crops are preferred, because the published repetitions count crops: `input_crops/` and
    `target_crops/` in `crop/train/`, `train/` or the root. Else frames, without `blur_gamma`.
    """
    base = root / "train" if (root / "train").is_dir() else root
    halves = [sorted(base.glob(f"*/{half}/")) for half in ("blur", "sharp")]
    flat = any((root / name).is_dir() for names in _FOLDERS["blur"] for name in names)
    if flat or not any(halves):
        first, second = _folders(root, "blur", "train/SEQUENCE/blur and train/SEQUENCE/sharp")
        return join(tree(first, _TITLES["blur"]), tree(second, _TITLES["blur"]), "blur")
    blurred, sharp = (
        {p: str(half.parent / p.stem) for half in found for p in pictures_in(half, _TITLES["blur"])}
        for found in halves
    )
    return join(blurred, sharp, "blur")


def read_low_light(root: Path) -> list[Pair]:
    """LOLv1: `our485/low` and `high`, or `Train/input` and `target`, or `low/` and `high/`."""
    low, high = _folders(root, "low_light")
    return join(tree(low, _TITLES["low_light"]), tree(high, _TITLES["low_light"]), "low_light")


def read_cdd11(root: Path) -> list[Pair]:
    """CDD-11: `clear/` and a folder for each key of `tasks.COMPOSITIONS`, which is also its task.

    They lie in `train/`, `CDD-11_train/` or the root.
    """
    places = (root / "train", root / "CDD-11_train")
    base = next((place for place in places if place.is_dir()), root)
    _need(base, "cdd11", [base / "clear", *(base / task for task in COMPOSITIONS)])
    trees = {task: tree(base / task, _TITLES["cdd11"]) for task in ("clear", *COMPOSITIONS)}
    pairs, errors = [], []
    for task in COMPOSITIONS:
        try:
            pairs += join(trees[task], trees["clear"], task)
        except PairingError as error:
            pairs += error.pairs
            errors.append(error)
    if errors:
        faults = dict.fromkeys(fault for error in errors for fault in error.faults)
        raise PairingError(errors[0].args[0], list(faults), pairs)
    return pairs


LAYOUTS: Mapping[str, Callable[[Path], list[Pair]]] = {
    "denoise": read_denoise,
    "rain": read_rain,
    "haze": read_haze,
    "blur": read_blur,
    "low_light": read_low_light,
    "cdd11": read_cdd11,
}


def layouts_of(name: str) -> tuple[str, ...]:
    """The layouts that a published set needs; UsageError for an unknown set."""
    if name not in REPEATS:
        raise UsageError(f"There is no published set {name!r}: choose from {', '.join(REPEATS)}.")
    return _LAYOUTS_OF[name]


def read_task_set(name: str, roots: Mapping[str, Path]) -> list[Pair]:
    """All pairs of a published training set, task by task, as often as `REPEATS` says.

    Args:
        name: a key of `REPEATS`.
        roots: a folder for each layout (see `LAYOUTS`) that the set needs; others are ignored. A
            folder of shards may take the place of any, and as "packed" that of all without one.

    Raises:
        UsageError: the set is unknown.
        DataError: a folder is missing, or files do not match (see the module).
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
    """The pairs of one layout, each once; arguments and errors as `read_task_set`."""
    root = roots.get(layout) or roots[PACKED]
    if layout in roots and not is_packed(root):
        return LAYOUTS[layout](root)
    pairs = [pair for pair in read_packed(root) if pair.task in _TASKS_OF[layout]]
    if lacking := [task for task in _TASKS_OF[layout] if task not in {p.task for p in pairs}]:
        raise DataError(f"{root} holds no pairs of {', '.join(lacking)}: pack {_TITLES[layout]}.")
    return pairs


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
