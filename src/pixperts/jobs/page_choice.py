"""The value of the option `page`."""

from pixperts.errors import UsageError, named

ALL = "all"


def parse_page(text: str) -> int | str:
    """A page counted from 1, or "all".

    Raises UsageError for anything else.

    >>> parse_page("3"), parse_page("all")
    (3, 'all')
    """
    if text == ALL:
        return ALL
    if not (text.isascii() and text.isdecimal() and len(text) < 8 and int(text)):
        raise UsageError(f"{named('page')} is {text!r}, but must be a number from 1, or all.")
    return int(text)
