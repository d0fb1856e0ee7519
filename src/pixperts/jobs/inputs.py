"""Find the pictures that inputs stand for: files, folders and patterns such as "**/*.jpg"."""

import fnmatch
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pixperts.errors import UsageError, named
from pixperts.io.formats import NAMES, is_image_path, is_video_path
from pixperts.jobs.places import LOCAL, Places

_MAGIC = frozenset("*?[")


@dataclass(frozen=True)
class Found:
    """An input picture, and the subfolder of the output folder that its result goes to."""

    path: Path
    below: Path = Path()
    folder: Path | None = None  # the input that it was found in; None for a file or a pattern

    @property
    def name(self) -> str:
        """Its path below its input folder, the same on all machines; else the path as given."""
        return (self.path if self.folder is None else self.below / self.path.name).as_posix()


@dataclass(frozen=True)
class Listing:
    """All pictures in order, remarks for the user, and whether the inputs name several files."""

    found: list[Found]
    remarks: list[str]
    several: bool


def find(
    inputs: Sequence[str | Path],
    *,
    recursive: bool = False,
    outputs: Sequence[Path] = (),
    places: Places = LOCAL,
) -> Listing:
    """The pictures that `inputs` stand for.

    - A name that exists is a file or a folder, also if it holds *, ? or [.
    - A folder stands for its pictures, sorted, and with `recursive` also for those of its
      subfolders, whose structure the output folder repeats.
    - Any other name with *, ? or [...] is a pattern. ** stands for any number of folders. The
      output folder repeats the structure below the last folder without such a character. A folder
      that matches counts as if it were named.
    - Videos in a folder are left out, because they take much longer. A pattern with the ending of
      a video, such as clips/*.mp4, finds them.
    - Hidden files and folders are left out. Linked folders and those of `outputs` are not entered,
      so that a second run does not take results for inputs.
    - A picture that several patterns or folders reach is taken once.

    Args:
        inputs: names of files and folders, and patterns.
        recursive: whether subfolders of folders are searched.
        outputs: folders that results go to.
        places: where the files lie.

    Raises:
        UsageError: a folder or pattern without pictures, or one that is also an output.
        ImageError: a folder that cannot be listed.
    """
    barred = {os.path.realpath(folder) for folder in outputs}
    several = len(inputs) > 1
    files: list[Found] = []
    remarks: list[str] = []
    seen: set[str] = set()
    skipped: int | None
    subfolders = named("recursive", option="-r")
    for given in inputs:
        path = Path(given)
        hint = ""
        if places.is_folder(path):
            several = True
            found, skipped, left_out = _of_folder(path, Path(), recursive, barred, places)
            if not found:
                cure = (
                    "name another folder"
                    if recursive
                    else f"name another folder, or give {subfolders}"
                )
                raise UsageError(f"{path} holds no {_kinds()}: {cure}.")
            found = [replace(one, folder=path) for one in found]
            if left_out:
                hint = f" {subfolders} also takes the pictures in its subfolders."
        elif _MAGIC.isdisjoint(str(given)) or places.exists(path):
            files.append(Found(path))  # a missing one is reported when it is read
            continue
        else:
            found, skipped = _of_pattern(path, recursive, barred, places)
            if not found and skipped is None:
                if "*" in str(given) or "?" in str(given):
                    raise UsageError(f"Nothing matches {path}: check the pattern.")
                files.append(Found(path))
                continue
            several = True
            if not found:
                raise UsageError(f"{path} matches no {_kinds()}: check the pattern.")
        for one in found:
            key = os.path.abspath(one.path)
            if key not in seen:
                seen.add(key)
                files.append(one)
        if skipped:
            single = skipped == 1
            those = "entry that is not a picture" if single else "entries that are not pictures"
            remarks.append(f"{path}: skipped {skipped} {those}.{hint}")
    return Listing(files, remarks, several)


def _kinds() -> str:
    *names, last = NAMES.values()
    return f"{', '.join(names)} or {last}"


def _of_folder(
    root: Path, below: Path, recursive: bool, barred: set[str], places: Places
) -> tuple[list[Found], int, bool]:
    """The pictures of a folder, sorted by path, how many other entries, and folders among them."""
    if os.path.realpath(root) in barred:
        raise UsageError(
            f"{root} is input and output at once, so results would be used as inputs: "
            "name another output."
        )
    found: list[Found] = []
    skipped, left_out = 0, False
    for parent, folders, names in places.walk(root, barred=barred, deep=recursive):
        if not recursive:
            skipped += len(folders)
            left_out = left_out or bool(folders)
            folders.clear()
        inside = below / parent.relative_to(root)
        for name in names:
            path = parent / name
            if is_image_path(name) and places.holds_file(path):
                found.append(Found(path, inside))
            else:
                skipped += 1
    return sorted(found, key=lambda one: one.path), skipped, left_out


def _of_pattern(
    pattern: Path, recursive: bool, barred: set[str], places: Places
) -> tuple[list[Found], int | None]:
    """The pictures that match, sorted by path, and how many other entries do; None for no entry."""
    parts = pattern.parts
    first = next(i for i, part in enumerate(parts) if not _MAGIC.isdisjoint(part))
    root, wanted = Path(*parts[:first]), parts[first:]
    if not places.is_folder(root):
        return [], None
    if os.path.realpath(root) in barred:
        raise UsageError(
            f"{pattern} searches the output folder, so results would be used as inputs: "
            "name another output."
        )
    found: dict[Path, Found] = {}
    skipped, any_match = 0, False
    deep = recursive or len(wanted) > 1 or "**" in wanted
    for parent, folders, names in places.walk(root, barred=barred, deep=deep):
        inside = parent.relative_to(root)
        for name in names:
            if not _matches((*inside.parts, name), wanted):
                continue
            any_match = True
            path = parent / name
            if (is_image_path(name) or is_video_path(wanted[-1])) and places.holds_file(path):
                found[path] = Found(path, inside)
            else:
                skipped += 1
        if "**" in wanted:
            continue
        for name in folders:
            if _matches((*inside.parts, name), wanted):
                any_match = True
                more, others, _ = _of_folder(
                    parent / name, inside / name, recursive, barred, places
                )
                found.update({one.path: one for one in more})
                skipped += others
        if len(inside.parts) + 1 >= len(wanted):
            folders.clear()
    ordered = sorted(found.values(), key=lambda one: one.path)
    return ordered, skipped if any_match else None


def _matches(parts: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether a path fits a pattern, part by part; ** stands for any number of folders.

    >>> _matches(("a", "b", "c.jpg"), ("**", "*.jpg")), _matches(("c.jpg",), ("**", "*.jpg"))
    (True, True)
    >>> _matches(("a", "c.jpg"), ("*.jpg",))
    False
    """
    # Row by row over the pattern; reached[i]: the first i parts are used up.
    reached = [True] + [False] * len(parts)
    for want in wanted:
        following = [False] * (len(parts) + 1)
        for used in range(len(parts) + 1):
            if want == "**":
                following[used] = reached[used] or (used > 0 and following[used - 1])
            elif used > 0 and reached[used - 1]:
                following[used] = fnmatch.fnmatchcase(parts[used - 1], want)
        reached = following
    return reached[-1]
