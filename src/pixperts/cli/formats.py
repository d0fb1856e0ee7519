"""The command that shows which formats of pictures this installation reads and writes."""

import json

from pixperts.cli.options import JsonOption


def formats(report: JsonOption) -> None:
    """List the picture formats that this installation reads and writes, and how to add more."""
    from pixperts.io.support import list_formats

    listed = list_formats()
    if report.as_json:
        for entry in listed:
            print(json.dumps(entry.to_dict()))
        return
    from pixperts.cli.tables import Column, print_table

    columns = [Column("format"), Column("endings"), Column("reads"), Column("writes")]
    rows = [
        [
            entry.name,
            " ".join(entry.endings),
            _answer(entry.reads, entry.extra),
            _answer(entry.writes, entry.write_extra),
        ]
        for entry in listed
    ]
    print_table(columns, rows)
    missing = [entry.name for entry in listed if entry.extra or entry.write_extra]
    if missing:
        print(f"pip install 'pixperts[formats]' adds {', '.join(missing)}.")


def _answer(able: bool, extra: str | None) -> str:
    if able:
        return "yes"
    return f"with pixperts[{extra}]" if extra else "no"
