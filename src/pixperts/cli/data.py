"""The commands for training data: pack, check-data."""

import importlib.util
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixperts.cli.options import Json
from pixperts.errors import MissingExtraError, UsageError, printable

if TYPE_CHECKING:
    from pixperts.data.checking import DataReport
    from pixperts.data.pairs import Pair
    from pixperts.training.config import TrainConfig

PAIRS = "Pairs"

Degraded = Annotated[
    Path | None,
    typer.Option("--input", metavar="DIR", help="Degraded pictures.", rich_help_panel=PAIRS),
]
Clean = Annotated[
    Path | None,
    typer.Option("--target", metavar="DIR", help="Their clean versions.", rich_help_panel=PAIRS),
]
Published = Annotated[
    str | None,
    typer.Option(help="A published set: aio3, aio5 or cdd11.", rich_help_panel=PAIRS),
]
Layouts = Annotated[
    list[str] | None,
    typer.Option(
        "--layout",
        metavar="NAME=DIR",
        help="Where a part of the published set lies, such as rain=DIR; repeatable.",
        rich_help_panel=PAIRS,
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="NAME", help="A file name to leave out; repeatable."),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(pack)
    app.command("check-data")(check_data)


def pack(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="A new or empty folder.")
    ],
    inputs: Annotated[
        list[Path] | None, typer.Argument(metavar="INPUT", help="Folders of photos.")
    ] = None,
    shard_size: Annotated[
        str, typer.Option(metavar="BYTES", help="Largest size of a shard.")
    ] = "256M",
    crop: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Cut larger pictures into tiles of this side."),
    ] = None,
    overlap: Annotated[int, typer.Option(min=0, help="Of neighbouring tiles, in pixels.")] = 0,
    exclude: Exclude = None,
    file_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="png, webp (lossless) or jpeg. Unset: JPEG files as they are, the rest as PNG.",
        ),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out what cannot be used, and count it.")
    ] = False,
    degraded: Degraded = None,
    target: Clean = None,
    published: Published = None,
    layouts: Layouts = None,
) -> None:
    """Pack photos or pairs into a few tar files for training (WebDataset's format)."""
    from pixperts.cli.options import parse_bytes

    limit = parse_bytes(shard_size)
    wanted = [bool(inputs), degraded is not None or target is not None, published is not None]
    if sum(wanted) != 1 or (degraded is None) != (target is None):
        raise UsageError("Give one of: folders of photos, --input with --target, or --published.")
    roots = _roots(published, layouts)
    from pixperts.cli.progress import ProgressBar
    from pixperts.data.packing import PackOptions, pack_pairs, pack_photos

    options = PackOptions(limit, crop, overlap, file_format, skip_bad)
    left_out = exclude or []
    with ProgressBar([1.0], visible=sys.stderr.isatty(), lines=True) as bar:

        def progress(done: int, total: int) -> None:
            bar.update(0, done / total)

        if inputs:
            made = pack_photos(inputs, output, options, exclude=left_out, progress=progress)
            faults: list[tuple[str, str]] = []
        else:
            pairs, faults = _pairs(degraded, target, published, roots, skip_bad)
            made = pack_pairs(pairs, output, options, exclude=left_out, progress=progress)
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
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="CONFIG.yaml | FOLDER",
            help="A training configuration, or folders of photos, folders of shards, .tar files.",
        ),
    ] = None,
    degraded: Degraded = None,
    target: Clean = None,
    published: Published = None,
    layouts: Layouts = None,
    patch: Annotated[
        int, typer.Option(min=1, help="Side that every picture must have at least.")
    ] = 1,
    exclude: Exclude = None,
    as_json: Json = False,
) -> None:
    """Decode all training data and name every bad file; exit code 1 if there is one."""
    roots = _roots(published, layouts)
    if target is not None and degraded is None:
        raise UsageError("--target needs --input, the folder of the degraded pictures.")
    if not sources and degraded is None and published is None:
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
    visible = sys.stderr.isatty() and not as_json
    steps: list[Callable[[DataReport], None]] = [
        partial(_check_config, config=config) for config in configs
    ]
    if folders:
        steps.append(partial(_check_folders, folders=folders, exclude=exclude or [], patch=patch))
    if degraded is not None:
        steps.append(partial(_check_pairs, degraded=degraded, clean=target, patch=patch))
    if published is not None:
        steps.append(partial(_check_set, name=published, roots=roots, patch=patch))
    with ProgressBar([1.0] * len(steps), visible=visible, lines=True) as bar:
        present = 0
        report = DataReport(lambda done, total: bar.update(present, 0.99 * done / total))
        for step in steps:
            step(report)
            present += 1
    for fault in report.faults:
        named = {"file": fault.file, "reason": fault.reason}
        print(json.dumps(named) if as_json else _line(fault.file, fault.reason))
    print(report.summary(), file=sys.stderr if as_json else sys.stdout)
    if report.faults:
        raise typer.Exit(1)


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


def _pairs(
    degraded: Path | None,
    target: Path | None,
    published: str | None,
    roots: Mapping[str, Path],
    skip_bad: bool,
) -> "tuple[list[Pair], list[tuple[str, str]]]":
    """What is to be packed, and (file, reason) of what does not pair up."""
    from pixperts.data.layouts import layouts_of, read_layout
    from pixperts.data.pairs import PairingError, match_folders

    finders: list[Callable[[], list[Pair]]]
    if published is None:
        assert degraded is not None
        assert target is not None
        finders = [partial(match_folders, degraded, target)]
    else:
        layouts = layouts_of(published)
        if missing := [name for name in layouts if name not in roots and "packed" not in roots]:
            raise UsageError(f"{published} needs --layout {missing[0]}=DIR as well.")
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


def _roots(published: str | None, layouts: Sequence[str] | None) -> dict[str, Path]:
    """Folders by layout from texts such as "rain=DIR".

    >>> _roots("aio3", ["rain=a/b", "haze=c"])["haze"].name
    'c'
    """
    if layouts and published is None:
        raise UsageError("--layout belongs to --published: give both.")
    roots = {}
    for text in layouts or []:
        name, _, folder = text.partition("=")
        if not name or not folder:
            raise UsageError(f"--layout is {text!r}, but must be NAME=DIR, such as rain=photos.")
        roots[name] = Path(folder)
    return roots


def _line(file: str, reason: str) -> str:
    return f"{printable(file)}: {printable(reason)}"
