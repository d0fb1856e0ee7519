"""Where results go if no output is named: beside their inputs, under names of their own."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pixperts.errors import UsageError, named
from pixperts.jobs.inputs import Found
from pixperts.jobs.names import Template
from pixperts.jobs.options import FolderOptions
from pixperts.jobs.places import LOCAL, Places


class Placed(NamedTuple):
    """An input, the folder below which its result is written, and the template of its name."""

    found: Found
    folder: Path
    template: Template


def beside(
    found: Sequence[Found], label: str, options: FolderOptions, places: Places = LOCAL
) -> list[Placed]:
    """Folder and template of every result, where no output was named.

    The result of a file lies beside it with `label` in its name: a.jpg becomes a_x2.jpg. The
    results of a folder lie in a new folder beside that one, photos_x2, and keep their names, so
    that a second run does not find them among its inputs. `options.name` replaces both names.

    Raises:
        UsageError: an input folder has no folder above it, such as /.
    """
    label = label.replace("{", "{{").replace("}", "}}")
    template = options.template
    alone = template if options.name is not None else Template(f"{{stem}}_{label}", options.format)
    placed = []
    for one in found:
        if one.folder is None:  # what a pattern found stays where it was found
            place = Found(one.path)
            placed.append(Placed(place, one.path.parent, alone))
            continue
        folder = one.folder if one.folder.name not in ("", "..") else one.folder.resolve()
        if places.is_top(folder):
            raise UsageError(
                f"{one.folder} has no folder above it: name an output with "
                f"{named('output', option='-o')}."
            )
        placed.append(Placed(one, folder.with_name(f"{folder.name}_{label}"), template))
    return placed
