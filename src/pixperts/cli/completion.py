"""The command for shells: completion."""

from typing import Annotated, Literal, cast

from pixperts.options import Option


def completion(
    shell: Annotated[
        str,
        Option(
            "bash, zsh or fish.",
            positional=True,
            metavar="SHELL",
            choices=("bash", "zsh", "fish"),
        ),
    ],
) -> None:
    """Print a script that completes commands and options in a shell; see docs/install.md."""
    from pixperts.cli.app import make_app

    known = cast("Literal['bash', 'zsh', 'fish']", shell)
    print(make_app().generate_completion(prog_name="pixperts", shell=known))
