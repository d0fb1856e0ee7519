"""Reading packed sets: tar files in the format of WebDataset, whose samples are read by offset.

A sample consists of the members with one key: `KEY.png` (a photo), or `KEY.input.png` and
`KEY.target.png` (a pair; without an input it is degraded on the fly), and `KEY.json`, which says
where it came from.
"""

import contextlib
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from pixperts.data.image_files import Member, picture_size
from pixperts.errors import DataError, named
from pixperts.io.formats import SUFFIXES, is_image_path
from pixperts.io.vips import reason

INDEX = "index.json"
FORMAT = "pixperts shards 1"
OWN_TASK = "pair"  # task of pairs whose KEY.json names none

_ENDINGS = frozenset(ending[1:] for ending in SUFFIXES)
_LARGEST_NOTE = 1 << 20  # bytes of a KEY.json
_BLOCK = 512  # bytes, the unit of a tar


@dataclass(frozen=True)
class Packed:
    """One sample: a photo, or the clean picture of a pair with its degraded version."""

    clean: Member
    degraded: Member | None = None
    is_pair: bool = False
    tasks: tuple[str, ...] = ()
    source: str = ""  # the name of the file that it was made from
    noted_size: tuple[int, int] | None = None  # (width, height) by KEY.json

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the clean picture."""
        return self.noted_size or picture_size(self.clean)


@dataclass
class Index:
    """What a packed set holds; the content of index.json."""

    kind: str  # "photos" or "pairs"
    samples: int = 0
    megapixels: float = 0.0  # of the clean pictures
    tasks: dict[str, int] = field(default_factory=dict)  # task -> pairs
    shards: list[dict[str, Any]] = field(default_factory=list)  # file, samples, bytes, sha256


def is_packed(path: Path) -> bool:
    """Whether a path is a .tar file, or a folder of such files.

    A folder that also holds pictures or folders counts as packed only if it has an index.json, so
    that an archive among photos does no harm.
    """
    if path.suffix.lower() == ".tar" and path.is_file():
        return True
    with contextlib.suppress(OSError):
        children = [child for child in path.iterdir() if child.name[0] != "."]
        if any(_is_shard(child) for child in children):
            others = any(is_image_path(child) or child.is_dir() for child in children)
            return not others or (path / INDEX).is_file()
    return False


def shard_files(path: Path) -> list[Path]:
    """The .tar files of a packed set, sorted.

    Raises:
        DataError: the folder cannot be listed, also holds pictures, or its .tar files are not those
            that its index.json lists, if it has one.
    """
    if path.is_file():
        return [path]
    try:
        children = sorted(path.iterdir())
    except OSError as error:
        raise DataError(f"{path} cannot be listed ({reason(error)}).") from None
    found = [child for child in children if _is_shard(child)]
    loose = [c for c in children if is_image_path(c) and c.name[0] != "." and c.is_file()]
    if loose:
        raise DataError(
            f"{path} holds shards and pictures such as {loose[0].name}: keep them in two folders."
        )
    if (index := stored_index(path)) is not None:
        names = {child.name for child in found}
        for shard in index.shards:
            name, size = str(shard["file"]), shard["bytes"]
            if name not in names:
                raise DataError(f"{path} lacks the shard {name} of its {INDEX}: copy it again.")
            names.remove(name)
            if (path / name).stat().st_size != size:
                raise DataError(
                    f"{path / name} has {(path / name).stat().st_size} bytes, but {size} in "
                    f"{INDEX}: copy it again."
                )
        if names:
            raise DataError(
                f"{path} holds {min(names)}, which its {INDEX} does not list: take it out, or "
                f"delete {INDEX} to use all."
            )
    return found


def read_shards(path: Path) -> list[Packed]:
    """All samples of a .tar file or of a folder of them, in order.

    Raises:
        DataError: a .tar file is damaged or cut short, a sample lacks a part, or the files are not
            those of the index; the message names the file.
    """
    samples = [sample for shard in shard_files(path) for sample in read_shard(shard)]
    if not samples:
        raise DataError(f"{path} holds no picture: name a folder of shards that 'pack' wrote.")
    if len({sample.is_pair for sample in samples}) > 1:
        raise DataError(f"{path} holds photos and pairs at once: pack them apart.")
    return samples


def read_photo_shards(path: Path) -> list[Packed]:
    """As `read_shards`, for a set that must hold photos; else DataError."""
    samples = read_shards(path)
    if samples[0].is_pair:
        raise DataError(f"{path} holds pairs, not photos: name it as {named('input')}.")
    return samples


def read_pair_shards(path: Path) -> list[Packed]:
    """As `read_shards`, for a set that must hold pairs; else DataError."""
    if not is_packed(path):
        raise DataError(
            f"{path} is not a folder of shards of pairs: name one, or the clean versions as "
            "'target'."
        )
    samples = read_shards(path)
    if not samples[0].is_pair:
        raise DataError(f"{path} holds photos, not pairs: name it under 'photos'.")
    return samples


def holds_pairs(path: Path) -> bool:
    """Whether this is a packed set of pairs, as far as it can be read."""
    if not is_packed(path):
        return False
    shards = [path] if path.is_file() else sorted(filter(_is_shard, path.iterdir()))
    for shard in shards:
        with contextlib.suppress(DataError):
            for sample in read_shard(shard):
                return sample.is_pair
    return False


def read_shard(shard: Path) -> list[Packed]:
    """The samples of one .tar file; raises DataError as `read_shards`."""
    groups: dict[str, dict[str, Member]] = {}
    notes: dict[str, Any] = {}
    try:
        with shard.open("rb") as handle, tarfile.open(fileobj=handle, mode="r:") as archive:
            end = 0
            for info in archive:
                end = info.offset_data
                if not info.isreg() or info.issparse():
                    continue
                end += -(-info.size // _BLOCK) * _BLOCK
                folder, _, name = info.name.rpartition("/")
                stem, _, extension = name.partition(".")
                if not stem:  # hidden
                    continue
                key, extension = f"{folder}/{stem}", extension.lower()
                member = Member(shard, info.name, info.offset_data, info.size)
                if extension == "json":
                    notes[key] = _note(handle, member)
                elif extension.rpartition(".")[2] in _ENDINGS:
                    if extension in groups.setdefault(key, {}):
                        raise DataError(f"{member} is there twice: pack the set again.")
                    groups[key][extension] = member
            handle.seek(end)
            # tarfile treats damage after the first member as the end of the archive.
            if handle.read(2 * _BLOCK) != bytes(2 * _BLOCK):
                raise DataError(f"{shard} is damaged or cut short: copy it again.")
    except (OSError, tarfile.TarError, ValueError) as error:
        raise DataError(
            f"{shard} cannot be read as a plain tar ({reason(error)}): copy or pack it again."
        ) from None
    return [_sample(members, notes.get(key, {})) for key, members in groups.items()]


def _sample(members: Mapping[str, Member], note: Mapping[str, Any]) -> Packed:
    roles: dict[str, Member] = {}
    for extension, member in members.items():
        role = extension.rpartition(".")[0]
        if role not in ("", "input", "target") or role in roles:
            raise DataError(
                f"{member} belongs to no sample that can be used: a key has one picture, or "
                "KEY.input and KEY.target."
            )
        roles[role] = member
    clean = roles.get("") or roles.get("target")
    if clean is None or ("" in roles and len(roles) > 1):
        odd = next(iter(roles.values()))
        raise DataError(f"{odd} has no clean partner KEY.target of its own: pack the set again.")
    tasks, size = note.get("tasks"), (note.get("width"), note.get("height"))
    fits = isinstance(tasks, list) and all(isinstance(task, str) for task in tasks)
    if "" in roles:
        labels: tuple[str, ...] = ()
    elif isinstance(tasks, list) and fits and tasks:
        labels = tuple(tasks)
    elif "input" in roles:
        labels = (OWN_TASK,)
    else:
        raise DataError(f"{clean} has no degraded version and no task in its KEY.json: pack again.")
    width, height = size
    whole = isinstance(width, int) and isinstance(height, int) and min(width, height) > 0
    return Packed(
        clean=clean,
        degraded=roles.get("input"),
        is_pair="" not in roles,
        tasks=labels,
        source=str(note.get("source", clean.name)),
        noted_size=(int(width or 0), int(height or 0)) if whole else None,
    )


def _note(handle: IO[bytes], member: Member) -> Mapping[str, Any]:
    if member.size > _LARGEST_NOTE:
        raise DataError(f"{member} is larger than a description of a picture: pack the set again.")
    place = handle.tell()
    handle.seek(member.offset)
    data = handle.read(member.size)
    handle.seek(place)
    try:
        note = json.loads(data)
    except (ValueError, RecursionError):
        raise DataError(f"{member} is no valid JSON: pack the set again.") from None
    return note if isinstance(note, dict) else {}


def stored_index(folder: Path) -> Index | None:
    """The index.json of a folder; None without one, DataError if it cannot be read."""
    path = folder / INDEX
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
            return None  # written by another program
        index = Index(**{name: values[name] for name in Index.__dataclass_fields__})
        for shard in index.shards:
            str(shard["file"]), int(shard["bytes"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise DataError(
            f"{path} cannot be read: copy it again, or delete it; the shards are enough."
        ) from None
    return index


def _is_shard(path: Path) -> bool:
    return path.suffix.lower() == ".tar" and path.name[0] != "." and path.is_file()
