"""Tables of scores."""

from collections.abc import Sequence


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table, its columns aligned to the right.

    Example:
        >>> print("\\n".join(markdown_table(["task", "dB"], [["rain", "31.05"]])))
        | task |    dB |
        | ---- | ----- |
        | rain | 31.05 |
    """
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, ["-" * width for width in widths], *rows]
    return [f"| {' | '.join(map(str.rjust, line, widths))} |" for line in lines]
