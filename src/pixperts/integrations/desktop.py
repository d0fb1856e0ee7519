"""Entries for the "Open with" menu of Linux file managers (freedesktop.org, Desktop Entry 1.5)."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from pixperts.errors import PixpertsError
from pixperts.io.atomic import replacing
from pixperts.io.formats import MEDIA_TYPES
from pixperts.io.support import reads


@dataclass(frozen=True)
class Entry:
    """One entry of the menu.

    Attributes:
        file: its name, without the ending.
        name: text of the menu.
        comment: text of its tooltip.
        arguments: of the command `pixperts`; %F stands for the files.
    """

    file: str
    name: str
    comment: str
    arguments: tuple[str, ...]


REPAIR = Entry(
    "pixperts-repair", "Repair with pixperts", "Writes NAME_restored beside the photo",
    ("restore", "%F"),
)  # fmt: skip
ENLARGE = Entry(
    "pixperts-enlarge", "Enlarge with pixperts", "Writes NAME_x2 beside the photo, twice as large",
    ("upscale", "%F", "--scale", "2"),
)  # fmt: skip
BOTH = Entry(
    "pixperts-enhance", "Repair and enlarge with pixperts",
    "Writes NAME_enhanced_x2 beside the photo", ("enhance", "%F", "--scale", "2"),
)  # fmt: skip
PAGE = Entry(
    "pixperts-page", "pixperts", "Repair and enlarge photos in the browser", ("app", "--port", "0")
)


def install(data_home: Path | None = None) -> list[Path]:
    """Write the entries for this user; that of the page only if the extra `app` is installed.

    Args:
        data_home: folder for the files; None = $XDG_DATA_HOME or ~/.local/share.

    Returns:
        The files that were written.

    Raises:
        PixpertsError: a file cannot be written.
    """
    folder = _folder(data_home)
    entries = [REPAIR, ENLARGE, BOTH, *([PAGE] if find_spec("gradio") is not None else [])]
    written = []
    for entry in entries:
        path = folder / f"{entry.file}.desktop"
        with replacing(path, error=PixpertsError) as temporary:
            temporary.write_text(_text(entry), encoding="utf-8")
            temporary.chmod(0o644)
        written.append(path)
    _tell_menus(folder)
    return written


def remove(data_home: Path | None = None) -> list[Path]:
    """Remove the files that `install` wrote, and return them."""
    folder = _folder(data_home)
    paths = [folder / f"{entry.file}.desktop" for entry in (REPAIR, ENLARGE, BOTH, PAGE)]
    removed = [path for path in paths if path.exists()]
    for path in removed:
        path.unlink()
    if removed:
        _tell_menus(folder)
    return removed


def quoted(argument: str) -> str:
    r"""One argument, quoted for the line `Exec`.

    >>> quoted("/opt/my tools/pixperts"), quoted("%F"), quoted("a$b")
    ('"/opt/my tools/pixperts"', '%F', '"a\\\\$b"')
    """
    if argument == "%F":
        return argument
    argument = argument.replace("%", "%%")
    if not set(argument) & set(" \t\n\"'\\><~|&;$*?#()`"):
        return argument
    for sign in '\\"`$':
        argument = argument.replace(sign, f"\\{sign}")
    # The value as a whole is escaped once more.
    return '"' + argument.replace("\\", "\\\\") + '"'


def _folder(data_home: Path | None) -> Path:
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share"
    return Path(data_home or home) / "applications"


def _text(entry: Entry) -> str:
    program = shutil.which("pixperts")
    start = [sys.executable, "-m", "pixperts"] if program is None else [os.path.abspath(program)]
    lines = [
        "[Desktop Entry]",
        "Type=Application",
        f"Name={entry.name}",
        f"Comment={entry.comment}",
        f"Exec={' '.join(map(quoted, (*start, *entry.arguments)))}",
        "Terminal=true",  # which shows the progress, and what went wrong
        "Categories=Graphics;Photography;",
    ]
    if "%F" in entry.arguments:
        known = [name for kind, names in MEDIA_TYPES.items() if reads(kind) for name in names]
        lines += [f"MimeType={';'.join(known)};", "NoDisplay=true"]
    return "\n".join(lines) + "\n"


def _tell_menus(folder: Path) -> None:
    """Update the menus, if the system has a program for that."""
    program = shutil.which("update-desktop-database")
    if program is not None:
        subprocess.run([program, "-q", str(folder)], capture_output=True, check=False)
