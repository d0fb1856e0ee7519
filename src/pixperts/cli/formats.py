"""The command that shows which formats of pictures this installation reads and writes."""

import json

from pixperts.cli.options import JsonOption


def formats(report: JsonOption) -> None:
    """List the formats of pictures that this installation reads and writes, and what adds more."""
    from pixperts.io.support import list_formats

    listed = list_formats()
    if report.as_json:
        for entry in listed:
            print(json.dumps(entry.to_dict()))
        return
    from pixperts.cli.tables import Column, print_table

    columns = [Column("format"), Column("endings"), Column("reads"), Column("writes")]
    rows = []
    for entry in listed:
        cure = f"with pixperts[{entry.extra}]" if entry.extra else "no"
        rows.append(
            [
                entry.name,
                " ".join(entry.endings),
                "yes" if entry.reads else cure,
                "yes" if entry.writes else "no",
            ]
        )
    print_table(columns, rows)
    missing = [entry.name for entry in listed if not entry.reads]
    if missing:
        print(f"pip install 'pixperts[formats]' adds {', '.join(missing)}.")
