"""Check training data before a training: every picture is decoded, every bad file is named."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pixperts.data.image_files import PictureFile, read_8bit, read_opaque
from pixperts.data.layouts import PACKED, TASK_SETS, layouts_of, read_layout
from pixperts.data.pairs import Pair, PairingError, fits, match_folders
from pixperts.data.photos import list_photos
from pixperts.data.shards import Packed, is_packed, read_shard, shard_files, stored_index
from pixperts.errors import DataError, PixpertsError
from pixperts.weights.checksums import file_sha256

_Size = tuple[int, int]  # (width, height)


@dataclass(frozen=True)
class Fault:
    """A file that cannot be used as it is, and the reason."""

    file: str
    reason: str


class DataReport:
    """The result of checks.

    Args:
        progress: called with (files decoded, files in all) of the present check.

    Attributes:
        counts: (number, megapixels) of good pictures or pairs by kind.
    """

    def __init__(self, progress: Callable[[int, int], None] | None = None) -> None:
        self._reasons: dict[str, list[str]] = {}
        self._progress = progress
        self.counts: dict[str, tuple[int, float]] = {}

    @property
    def faults(self) -> list[Fault]:
        """The bad files, each once, in the order in which they were found."""
        return [Fault(file, "; ".join(reasons)) for file, reasons in self._reasons.items()]

    def add_fault(self, file: object, why: object) -> None:
        """Record a fault; the name of the file is removed from the beginning of its reason."""
        name, text = str(file), str(why)
        for start in (f"{name} ", f"{name}: "):
            text = text.removeprefix(start)
        reasons = self._reasons.setdefault(name, [])
        if text not in reasons:
            reasons.append(text)

    def add_good(self, kind: str, size: _Size) -> None:
        """Record a good picture or pair of (width, height)."""
        number, megapixels = self.counts.get(kind, (0, 0.0))
        self.counts[kind] = (number + 1, megapixels + size[0] * size[1] / 1e6)

    def summary(self) -> str:
        """Text: a line for each kind, and one with the number of bad files."""
        lines = [
            f"{kind}: {number} good, {megapixels:.1f} megapixels"
            for kind, (number, megapixels) in self.counts.items()
        ]
        count = len(self._reasons)
        return "\n".join([*lines, f"{count} bad" if count else "all good"])

    def photos(
        self,
        folders: Sequence[Path],
        exclude: Sequence[str] = (),
        min_side: int = 1,
        kind: str = "photos",
    ) -> None:
        """Decode every photo of folders and packed sets.

        Args:
            folders: folders, folders of shards or .tar files.
            exclude: names of files to leave out.
            min_side: pixels; photos with a shorter side are faults.
            kind: name of these photos in `counts`.
        """
        listed: dict[PictureFile, _Size | None] = {}
        for folder in folders:
            try:
                if is_packed(folder):
                    samples = self._shards(folder)
                    for sample in samples:
                        if sample.is_pair:
                            self.add_fault(folder, "holds pairs, not photos")
                            break
                        if sample.source.rpartition("/")[2] not in exclude:
                            listed[sample.clean] = sample.noted_size
                else:
                    found = list_photos(folder)
                    listed |= {file: None for file, name, _ in found if name not in exclude}
                    if not found:
                        self.add_fault(folder, "holds no photo")
            except PixpertsError as error:
                self.add_fault(folder, error)
        for file, size in self._decode(list(listed), opaque=False).items():
            noted = listed[file]
            if noted not in (None, size):
                self.add_fault(
                    file, f"has {_shown(size)} pixels, but its description says otherwise"
                )
            elif min(size) < min_side:
                self.add_fault(
                    file, f"too small: {_shown(size)} pixels, {min_side} a side are needed"
                )
            else:
                self.add_good(kind, size)

    def folders(self, degraded: Path, clean: Path | None, patch: int = 1) -> None:
        """Check two folders of pictures that match by name, or a packed set of pairs.

        Args:
            degraded: folder of degraded pictures, or the packed set.
            clean: folder of clean pictures; None for a packed set.
            patch: pixels; pictures with a shorter side are faults.
        """
        if clean is None:
            self._packed_pairs(degraded, patch)
        else:
            self._pairs(partial(match_folders, degraded, clean), degraded, patch)

    def task_set(self, name: str, roots: Mapping[str, Path], patch: int = 1) -> None:
        """Check the folders of a published training set.

        Args:
            name: of the set, a key of `layouts.REPEATS`.
            roots: folder of each layout.
            patch: pixels; pictures with a shorter side are faults.
        """
        packs = set()
        for layout in layouts_of(name):
            root = roots.get(layout) or roots.get(PACKED)
            if root is None:
                self.add_fault(name, f"needs a folder for its layout {layout!r}")
                continue
            if is_packed(root):
                packs.add(root)
                try:  # check that it holds the tasks of the layout
                    read_layout(layout, roots)
                except PixpertsError as error:
                    self.add_fault(root, error)
            else:
                self._pairs(partial(read_layout, layout, roots), root, patch)
        for root in sorted(packs):
            self._packed_pairs(root, patch, TASK_SETS[name])

    def _pairs(self, find: Callable[[], list[Pair]], root: Path, patch: int) -> None:
        try:
            pairs = find()
        except PairingError as error:
            for file, why in error.faults:
                self.add_fault(file, why)
            pairs = error.pairs
        except PixpertsError as error:
            self.add_fault(root, error)
            return
        self._decode_pairs(pairs, patch)

    def _packed_pairs(self, root: Path, patch: int, tasks: Sequence[str] | None = None) -> None:
        try:
            if not is_packed(root):
                raise DataError(f"{root} is not a folder of shards of pairs")
            samples = self._shards(root)
            if not all(sample.is_pair for sample in samples):
                raise DataError(f"{root} holds photos, not pairs")
            pairs = [
                Pair(sample.clean, sample.degraded, task)
                for sample in samples
                for task in sample.tasks
                if tasks is None or task in tasks
            ]
        except PixpertsError as error:
            self.add_fault(root, error)
            return
        self._decode_pairs(pairs, patch)

    def _decode_pairs(self, pairs: Sequence[Pair], patch: int) -> None:
        files = [file for pair in pairs for file in (pair.clean, pair.degraded) if file is not None]
        sizes = self._decode(list(dict.fromkeys(files)), opaque=True)
        for pair in pairs:
            clean, degraded = sizes.get(pair.clean), sizes.get(pair.degraded or pair.clean)
            if clean is None or degraded is None:
                continue
            if not fits(pair.task, degraded, clean):
                why = f"sizes differ: {_shown(degraded)}, clean {_shown(clean)}"
                self.add_fault(pair.degraded, why)
            elif min(degraded) < patch:
                self.add_fault(
                    pair.clean, f"too small: {_shown(degraded)} pixels, the patch has {patch}"
                )
            else:
                self.add_good(pair.task, degraded)

    def _shards(self, path: Path) -> list[Packed]:
        """The samples of all undamaged shards; DataError if they are not those of the index."""
        samples: list[Packed] = []
        index = None if path.is_file() else stored_index(path)
        sums = {shard["file"]: shard.get("sha256") for shard in index.shards} if index else {}
        for shard in shard_files(path):
            try:
                found = read_shard(shard)
                digest = file_sha256(shard)
                if sums.get(shard.name) not in (None, digest):
                    raise DataError("its bytes do not match the checksum in index.json")
                samples += found
            except (PixpertsError, OSError) as error:
                self.add_fault(shard, error)
        return samples

    def _decode(self, files: Sequence[PictureFile], *, opaque: bool) -> dict[PictureFile, _Size]:
        """Sizes of the pictures that can be decoded; the others are faults."""
        sizes: dict[PictureFile, _Size] = {}
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            found = pool.map(partial(_decoded, opaque=opaque), files)
            for number, (file, size) in enumerate(zip(files, found, strict=True)):
                if isinstance(size, str):
                    self.add_fault(file, size)
                else:
                    sizes[file] = size
                if self._progress:
                    self._progress(number + 1, len(files))
        return sizes


def _decoded(file: PictureFile, *, opaque: bool) -> _Size | str:
    try:
        if opaque:
            height, width = read_opaque(file).shape[1:]
        else:
            height, width = read_8bit(file).shape[:2]
    except PixpertsError as error:
        return str(error)
    return width, height


def _shown(size: _Size) -> str:
    return f"{size[0]}x{size[1]}"
