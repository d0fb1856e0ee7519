"""Write docs/cli.md: every command with its options, from the tables that the program uses.

python scripts/make_cli_docs.py            # writes the page
python scripts/make_cli_docs.py --check    # fails where the page is out of date
"""

import argparse
import sys
from pathlib import Path

from pixperts.cli.app import COMMANDS, command_of
from pixperts.cli.commands import PANELS, REQUIRED, Command, Entry

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"
HEAD = """\
# The command line

This page is made by `scripts/make_cli_docs.py`. `pixperts COMMAND --help` shows the same.

Exit codes: 0 done, 1 something failed, 2 the command line was wrong, 130 interrupted. Every error
is one sentence on stderr.

"""


def page() -> str:
    """The whole text."""
    commands = [command_of(name) for name in COMMANDS]
    index = "".join(f"| [`{one.name}`](#{one.name}) | {one.summary} |\n" for one in commands)
    return HEAD + "| command | purpose |\n|---|---|\n" + index + "".join(map(section, commands))


def section(command: Command) -> str:
    """One command: how it is called, and a table for each panel of its help."""
    parts = [f"\n## {command.name}\n\n{command.summary}\n\n```\n{command.usage}\n```\n"]
    entries = command.entries()
    for panel in PANELS:
        rows = [row(entry) for entry in entries if entry.panel == panel]
        if rows:
            parts.append(f"\n| {panel} | meaning | default |\n|---|---|---|\n" + "".join(rows))
    return "".join(parts)


def row(entry: Entry) -> str:
    """One line of a table."""
    names = ", ".join(f"`{name}`" for name in (entry.name, *entry.option.also))
    if entry.metavar is not None and not entry.option.positional:
        names += f" `{entry.metavar}`"
    required = entry.default is REQUIRED and not entry.option.positional
    default = "required" if required else entry.default_text or ""
    cells = (names, entry.meaning, default)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    if not parser.parse_args().check:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if PAGE.read_text(encoding="utf-8") == page():
        return 0
    print("docs/cli.md is out of date: run python scripts/make_cli_docs.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
