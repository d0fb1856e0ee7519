"""The commands for training data: pack, check-data."""

import importlib.util
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pixperts.cli.options import Exclude, JsonOption
from pixperts.data.options import PackOptions
from pixperts.errors import MissingExtraError, UsageError, printable
from pixperts.options import Option, option

if TYPE_CHECKING:
    from pixperts.data.checking import DataReport
    from pixperts.data.pairs import Pair
    from pixperts.training.config import TrainConfig

PAIRS = "Pairs"


@dataclass(frozen=True)
class PairOptions:
    """Pairs of degraded and clean pictures: two folders, or a published set.

    Raises:
        UsageError: for layouts without a published set.
    """

    degraded: Path | None = option(
        None, "Degraded pictures.", flag="--input", metavar="DIR", panel=PAIRS
    )
    clean: Path | None = option(
        None,
        "Clean versions of the pictures of --input.",
        flag="--target",
        metavar="DIR",
        panel=PAIRS,
    )
    published: str | None = option(
        None, "A published set: aio3, aio5 or cdd11.", metavar="NAME", panel=PAIRS
    )
    layouts: list[str] | None = option(
        None,
        "Folder of a part of the published set, such as rain=DIR; repeatable.",
        flag="--layout",
        metavar="NAME=DIR",
        panel=PAIRS,
    )

    def __post_init__(self) -> None:
        if self.layouts and self.published is None:
            raise UsageError("--layout belongs to --published: give both.")
        _ = self.roots  # refuses a layout that is none

    @property
    def roots(self) -> dict[str, Path]:
        """Folders by layout.

        Example:
            >>> PairOptions(published="aio3", layouts=["rain=a/b", "haze=c"]).roots["haze"].name
            'c'
        """
        roots = {}
        for text in self.layouts or []:
            name, _, folder = text.partition("=")
            if not name or not folder:
                raise UsageError(
                    f"--layout is {text!r}, but must be NAME=DIR, such as rain=photos."
                )
            roots[name] = Path(folder)
        return roots


def pack(
    output: Annotated[Path, Option("A new or empty folder.", also=("-o",), metavar="DIR")],
    options: PackOptions,
    pairs: PairOptions,
    inputs: Annotated[
        list[Path] | None, Option("Folders of photos.", positional=True, metavar="INPUT")
    ] = None,
    exclude: Exclude = None,
) -> None:
    """Pack photos or pairs into a few tar files for training (WebDataset's format)."""
    folders = pairs.degraded is not None or pairs.clean is not None
    given = [bool(inputs), folders, pairs.published is not None]
    if sum(given) != 1 or (pairs.degraded is None) != (pairs.clean is None):
        raise UsageError("Give one of: folders of photos, --input with --target, or --published.")
    from pixperts.cli.progress import ProgressBar
    from pixperts.data.packing import pack_pairs, pack_photos

    left_out = exclude or []
    with ProgressBar([1.0], visible=sys.stderr.isatty(), lines=True) as bar:

        def progress(done: int, total: int) -> None:
            bar.update(0, done / total)

        if inputs:
            made = pack_photos(inputs, output, options, exclude=left_out, progress=progress)
            faults: list[tuple[str, str]] = []
        else:
            found, faults = _pairs(pairs, options.skip_bad)
            made = pack_pairs(found, output, options, exclude=left_out, progress=progress)
    for file, why in faults:
        print(f"{file} was left out: {why}", file=sys.stderr)
    for _, why in made.left_out:
        print(f"left out: {why}", file=sys.stderr)
    index = made.index
    size = sum(shard["bytes"] for shard in index.shards) / 1e6
    bad = len(faults) + len(made.left_out)
    print(
        f"{output}: {index.samples} samples of {index.kind}, {index.megapixels:.1f} megapixels, "
        f"{len(index.shards)} shards, {size:.1f} MB" + (f"; {bad} left out" if bad else ""),
        file=sys.stderr,
    )


def check_data(
    pairs: PairOptions,
    report: JsonOption,
    sources: Annotated[
        list[Path] | None,
        Option(
            "A training configuration, or folders of photos, folders of shards, .tar files.",
            positional=True,
            metavar="CONFIG.yaml|FOLDER",
        ),
    ] = None,
    patch: Annotated[
        int, Option("Shortest side that a picture may have.", low=1, metavar="PIXELS")
    ] = 1,
    exclude: Exclude = None,
) -> int:
    """Decode all training data and name every bad file; exit code 1 if there is one."""
    if pairs.clean is not None and pairs.degraded is None:
        raise UsageError("--target needs --input, the folder of the degraded pictures.")
    if not sources and pairs.degraded is None and pairs.published is None:
        raise UsageError("Name a configuration or folders, or give --input or --published.")
    files = [path for path in sources or [] if path.suffix.lower() in (".yaml", ".yml")]
    if files and importlib.util.find_spec("yaml") is None:
        raise MissingExtraError("reading a training configuration", "train")
    from pixperts.cli.progress import ProgressBar
    from pixperts.data.checking import DataReport
    from pixperts.training.config import TrainConfig

    configs = [TrainConfig.from_yaml(path) for path in files]
    folders = [path for path in sources or [] if path not in files]
    for folder in folders:
        if not folder.exists():
            raise UsageError(f"{folder}: there is no such configuration or folder.")
    visible = sys.stderr.isatty() and not report.as_json
    steps: list[Callable[[DataReport], None]] = [
        partial(_check_config, config=config) for config in configs
    ]
    if folders:
        steps.append(partial(_check_folders, folders=folders, exclude=exclude or [], patch=patch))
    if pairs.degraded is not None:
        steps.append(partial(_check_pairs, degraded=pairs.degraded, clean=pairs.clean, patch=patch))
    if pairs.published is not None:
        steps.append(partial(_check_set, name=pairs.published, roots=pairs.roots, patch=patch))
    with ProgressBar([1.0] * len(steps), visible=visible, lines=True) as bar:
        present = 0
        found = DataReport(lambda done, total: bar.update(present, 0.99 * done / total))
        for step in steps:
            step(found)
            present += 1
    for fault in found.faults:
        named = {"file": fault.file, "reason": fault.reason}
        print(json.dumps(named) if report.as_json else _line(fault.file, fault.reason))
    print(found.summary(), file=sys.stderr if report.as_json else sys.stdout)
    return 1 if found.faults else 0


def _check_config(report: "DataReport", *, config: "TrainConfig") -> None:
    from pixperts.training.check_data import check_config

    check_config(report, config)


def _check_folders(
    report: "DataReport", *, folders: Sequence[Path], exclude: Sequence[str], patch: int
) -> None:
    from pixperts.data.shards import holds_pairs

    for folder in folders:
        if holds_pairs(folder):
            report.folders(folder, None, patch)
        else:
            report.photos([folder], exclude, patch)


def _check_pairs(report: "DataReport", *, degraded: Path, clean: Path | None, patch: int) -> None:
    report.folders(degraded, clean, patch)


def _check_set(report: "DataReport", *, name: str, roots: Mapping[str, Path], patch: int) -> None:
    report.task_set(name, roots, patch)


def _pairs(options: PairOptions, skip_bad: bool) -> "tuple[list[Pair], list[tuple[str, str]]]":
    """What is to be packed, and (file, reason) of what does not pair up."""
    from pixperts.data.layouts import layouts_of, read_layout
    from pixperts.data.pairs import PairingError, match_folders

    finders: list[Callable[[], list[Pair]]]
    if options.published is None:
        assert options.degraded is not None
        assert options.clean is not None
        finders = [partial(match_folders, options.degraded, options.clean)]
    else:
        roots, layouts = options.roots, layouts_of(options.published)
        if missing := [name for name in layouts if name not in roots and "packed" not in roots]:
            raise UsageError(f"{options.published} needs --layout {missing[0]}=DIR as well.")
        finders = [partial(read_layout, name, roots) for name in layouts]
    pairs, faults = [], []
    for find in finders:
        try:
            pairs += find()
        except PairingError as error:
            if not skip_bad:
                raise
            pairs += error.pairs
            faults += error.faults
    return pairs, faults


def _line(file: str, reason: str) -> str:
    return f"{printable(file)}: {printable(reason)}"
