"""Options that several commands share, beside those of the library's groups."""

from dataclasses import dataclass
from typing import Annotated

from pixperts.options import MODEL, OUTPUT, Option, option

Inputs = Annotated[
    list[str],
    Option(
        "Pictures, videos (extra video), folders of pictures, patterns in quotes such as "
        "'photos/**/*.jpg', pictures in a store (s3://bucket/photos, gs://, az://), or - for "
        "standard input. -i INPUT works as well.",
        positional=True,
        metavar="INPUT",
    ),
]
Output = Annotated[
    str | None,
    Option(
        "File for one picture, - for standard output; folder for several, where names stay the "
        "same. Both may be in a store. If unset, results are written beside the inputs, with other "
        "names.",
        also=("-o",),
        metavar="PATH",
        panel=OUTPUT,
    ),
]
UpscaleModel = Annotated[
    str,
    Option(
        "Name from 'pixperts models', weights file, or org/name on the hub.",
        also=("-m",),
        panel=MODEL,
    ),
]
RestoreModel = Annotated[
    str,
    Option(
        "Name of a model that repairs, weights file, or org/name on the hub.",
        also=("-m",),
        panel=MODEL,
    ),
]
ExpertMap = Annotated[
    str | None,
    Option(
        "Also draw which expert enlarged which pixel: a .png for one picture, a folder for "
        "several, which receives NAME_experts.png.",
        panel=OUTPUT,
    ),
]
Exclude = Annotated[
    list[str] | None,
    Option("A file name to leave out; repeatable.", metavar="NAME"),
]


@dataclass(frozen=True)
class JsonOption:
    """Whether results are printed for programs."""

    as_json: bool = option(
        False, "Print machine-readable lines to stdout.", flag="--json", panel=OUTPUT
    )


@dataclass(frozen=True)
class ReportOptions(JsonOption):
    """What is shown of a run."""

    quiet: bool = option(False, "Show only errors.", also=("-q",), panel=OUTPUT)
