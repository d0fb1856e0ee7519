"""Pack photos or pairs into shards: .tar files in the format of WebDataset.

The same input gives the same bytes. A pack is built in a hidden folder beside its target, and
renamed when it is complete.
"""

import contextlib
import io
import itertools
import json
import os
import tarfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pixperts.data.image_files import (
    PictureFile,
    picture_bytes,
    picture_format,
    picture_size,
    read_8bit,
    without_alpha,
)
from pixperts.data.options import PackOptions
from pixperts.data.pairs import Pair, read_pair
from pixperts.data.photos import list_photos
from pixperts.data.shards import FORMAT, INDEX, Index
from pixperts.errors import DataError, ImageError, UsageError, named
from pixperts.io.atomic import replacing_folder
from pixperts.io.encode import image_of
from pixperts.io.formats import DEFAULT_QUALITY, NAMES
from pixperts.io.vips import libvips, reason
from pixperts.ops.pixels import Pixels
from pixperts.weights.checksums import file_sha256

_ENDINGS = {"png": "png", "jpeg": "jpg", "webp": "webp"}

_Tile = tuple[int, int, int, int]  # top, left, height, width


@dataclass
class Packing:
    """A finished pack: its index, and (file, reason) of the files that were left out."""

    index: Index
    left_out: list[tuple[str, str]] = field(default_factory=list)


def tiles(height: int, width: int, side: int | None, overlap: int = 0) -> list[_Tile]:
    """(top, left, height, width) of tiles that cover a picture; the last are moved inwards.

    Args:
        height: of the picture, in pixels.
        width: of the picture.
        side: of a tile; None for one tile.
        overlap: of neighboring tiles, less than `side`.

    >>> tiles(5, 9, 5, 1)
    [(0, 0, 5, 5), (0, 4, 5, 5)]
    >>> tiles(3, 10, 4, 1)
    [(0, 0, 3, 4), (0, 3, 3, 4), (0, 6, 3, 4)]
    >>> tiles(5, 9, None)
    [(0, 0, 5, 9)]
    """

    def starts(length: int) -> list[int]:
        if side is None or length <= side:
            return [0]
        return [*range(0, length - side, side - overlap), length - side]

    high, wide = min(height, side or height), min(width, side or width)
    return [(top, left, high, wide) for top in starts(height) for left in starts(width)]


def pack_photos(
    inputs: Sequence[Path],
    target: Path,
    options: PackOptions | None = None,
    *,
    exclude: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Packing:
    """Pack the photos of folders, in the order in which a training lists them.

    Args:
        inputs: folders, searched recursively, folders of shards, or .tar files.
        target: a new or empty folder.
        options: format, tiles and size of shards; the defaults if None.
        exclude: file names to leave out.
        progress: called with (pictures done, pictures in all) after each.

    Returns:
        The index of the pack, and what was left out.

    Raises:
        UsageError: the target is not empty.
        DataError: an input is missing, there is nothing to pack, or the target cannot be written.
        ImageError: a picture cannot be read, unless `options.skip_bad`.
    """
    options = options or PackOptions()
    listed: list[tuple[PictureFile, str]] = []
    for root in inputs:
        for file, name, _ in list_photos(root):
            if name not in exclude:
                inside = isinstance(file, Path) and not root.is_file()
                # The folder's name, but not where it lies: the same photos give the same bytes.
                source = f"{root.resolve().name}/{_below(file, root)}" if inside else name
                listed.append((file, source))

    def encode(file: PictureFile, source: str) -> list[_Sample]:
        return _samples({"": (file, without_alpha(read_8bit(file)))}, {"source": source}, options)

    with _writing(target, "photos", options) as writer:
        items = [_Item(file, partial(encode, file, source)) for file, source in listed]
        return writer.fill(items, progress)


def pack_pairs(
    pairs: Sequence[Pair],
    target: Path,
    options: PackOptions | None = None,
    *,
    exclude: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Packing:
    """Pack pairs, each once with all its tasks, in order.

    A clean picture that is to be degraded on the fly is packed alone, with its tasks. Other
    arguments, result and errors are those of `pack_photos`.
    """
    options = options or PackOptions()
    tasks: dict[tuple[PictureFile, PictureFile | None], list[str]] = {}
    for pair in pairs:
        if {pair.clean.name, (pair.degraded or pair.clean).name}.intersection(exclude):
            continue
        tasks.setdefault((pair.clean, pair.degraded), []).append(pair.task)

    def encode(pair: Pair, found: Sequence[str]) -> list[_Sample]:
        bad, good = read_pair(pair)
        parts = {"target": (pair.clean, good.permute(1, 2, 0).numpy())}
        if pair.degraded is not None and bad is not None:
            parts["input"] = (pair.degraded, bad.permute(1, 2, 0).numpy())
        source = "/".join(Path(str(pair.degraded or pair.clean)).parts[-2:])
        return _samples(parts, {"source": source, "tasks": found}, options)

    with _writing(target, "pairs", options) as writer:
        items = []
        for (clean, degraded), found in tasks.items():
            names = list(dict.fromkeys(found))
            one = Pair(clean, degraded, names[0])
            items.append(_Item(degraded or clean, partial(encode, one, names), tuple(names)))
        return writer.fill(items, progress)


@dataclass(frozen=True)
class _Item:
    """A picture or pair to be packed; `encode` may run in any thread."""

    file: PictureFile
    encode: "Callable[[], list[_Sample]]"
    tasks: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Sample:
    members: Mapping[str, bytes]  # ending -> content
    area: int  # pixels of one picture


@contextlib.contextmanager
def _writing(target: Path, kind: str, options: PackOptions) -> "Iterator[_Writer]":
    """A writer into a hidden folder, which becomes the target if no error occurs."""
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UsageError(f"{target} holds something already: name a new or empty folder.")
    try:
        with replacing_folder(target) as hidden:
            writer = _Writer(target, hidden, kind, options)
            try:
                yield writer
            finally:
                writer.close()
    except OSError as error:
        raise DataError(
            f"{target} could not be written ({reason(error)}): check the free space and the "
            "permissions."
        ) from error


class _Writer:
    """The shards of a pack, and its index."""

    def __init__(self, target: Path, hidden: Path, kind: str, options: PackOptions) -> None:
        self.target, self.hidden, self.options = target, hidden, options
        self.result = Packing(Index(kind))
        self.archive: tarfile.TarFile | None = None
        self.filled = 0  # bytes of the present shard
        self.pixels = 0

    def close(self) -> None:
        """Close a shard that was not finished."""
        if self.archive is not None:
            self.archive.fileobj.close()

    def fill(self, items: Sequence[_Item], progress: Callable[[int, int], None] | None) -> Packing:
        """Write all items in order, and finish; threads encode a few pictures ahead."""
        threads = os.cpu_count() or 1
        with ThreadPoolExecutor(threads) as pool:
            coming: deque[Future[list[_Sample]]] = deque()
            ahead = iter(items)
            try:
                for number, item in enumerate(items):
                    for other in itertools.islice(ahead, 2 * threads - len(coming)):
                        coming.append(pool.submit(other.encode))
                    try:
                        samples = coming.popleft().result()
                    except (ImageError, DataError) as error:
                        if not self.options.skip_bad:
                            raise
                        self.result.left_out.append((str(item.file), str(error)))
                        continue
                    for sample in samples:
                        self._write(sample.members, item.tasks)
                        self.pixels += sample.area
                    if progress:
                        progress(number + 1, len(items))
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
        return self._finish()

    def _finish(self) -> Packing:
        """Close the last shard and write the index."""
        index = self.result.index
        if not index.samples:
            raise DataError(f"There is no picture to pack into {self.target}: name others.")
        self._close()
        index.megapixels = round(self.pixels / 1e6, 3)
        index.tasks = dict(sorted(index.tasks.items()))
        text = json.dumps({"format": FORMAT, **asdict(index)}, indent=1) + "\n"
        (self.hidden / INDEX).write_text(text, encoding="utf-8")
        return self.result

    def _write(self, members: Mapping[str, bytes], tasks: Sequence[str]) -> None:
        index = self.result.index
        size = sum(tarfile.BLOCKSIZE + -(-len(data) // 512) * 512 for data in members.values())
        if self.archive is not None and self.filled + size > self.options.shard_size:
            self._close()
        if self.archive is None:
            name = f"{index.kind}-{len(index.shards):06}.tar"
            index.shards.append({"file": name, "samples": 0})
            self.archive = tarfile.TarFile(self.hidden / name, "w", format=tarfile.USTAR_FORMAT)
            self.filled = tarfile.RECORDSIZE
        index.samples += 1
        for ending, data in sorted(members.items()):
            info = tarfile.TarInfo(f"{index.samples:09}.{ending}")  # without owner and time
            info.size = len(data)
            self.archive.addfile(info, io.BytesIO(data))
        self.filled += size
        index.shards[-1]["samples"] += 1
        for task in tasks:
            index.tasks[task] = index.tasks.get(task, 0) + 1

    def _close(self) -> None:
        assert self.archive is not None
        self.archive.close()
        self.archive = None
        shard = self.result.index.shards[-1]
        path = self.hidden / shard["file"]
        shard["bytes"] = path.stat().st_size
        shard["sha256"] = file_sha256(path)


def _samples(
    parts: Mapping[str, tuple[PictureFile, Pixels]], note: Mapping[str, Any], options: PackOptions
) -> list[_Sample]:
    """A sample for each tile of one picture, or of the two of a pair ("input" and "target")."""
    samples = []
    height, width = next(iter(parts.values()))[1].shape[:2]
    for top, left, high, wide in tiles(height, width, options.crop, options.overlap):
        whole = (high, wide) == (height, width)
        described = dict(note) | {"width": wide, "height": high}
        if not whole:
            described["crop"] = [top, left]
        members = {"json": json.dumps(described, sort_keys=True).encode()}
        for role, (file, pixels) in parts.items():
            piece = pixels[top : top + high, left : left + wide]
            ending, data = _encoded(file, piece, whole, options.format)
            members[f"{role}.{ending}".lstrip(".")] = data
        samples.append(_Sample(members, wide * high))
    return samples


def _encoded(file: PictureFile, pixels: Pixels, whole: bool, kind: str | None) -> tuple[str, bytes]:
    """Ending and bytes of a picture; a whole JPEG file stays as it is if JPEG is allowed."""
    copied = whole and kind in (None, "jpeg") and picture_format(file) == "jpeg"
    if copied and picture_size(file) == (pixels.shape[1], pixels.shape[0]):  # no frame was cut off
        return "jpg", picture_bytes(file)
    kind = kind or "png"
    image = image_of(np.ascontiguousarray(pixels))
    try:
        if kind == "png":
            data = image.pngsave_buffer(filter="all", keep=0)
        elif kind == "webp":
            data = image.webpsave_buffer(lossless=True, keep=0)
        else:
            data = image.jpegsave_buffer(
                Q=DEFAULT_QUALITY[kind], subsample_mode="off", optimize_coding=True, keep=0
            )
    except libvips().Error as error:
        raise ImageError(
            f"{file} cannot be packed as {NAMES[kind]} ({reason(error)}): use {named('crop')}, or "
            "png."
        ) from None
    return _ENDINGS[kind], bytes(data)


def _below(file: PictureFile, root: Path) -> str:
    assert isinstance(file, Path)
    return file.relative_to(root).as_posix()
