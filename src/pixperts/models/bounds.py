"""Bounds of configurations, so that a damaged or hostile weights file cannot name absurd sizes."""

from pixperts.errors import ModelError


def check_integer(owner: str, name: str, value: object, low: int, high: int) -> None:
    """Refuse a size that is no whole number in low..high.

    Args:
        owner: whose field it is, for the message.
        name: the field.
        value: what the configuration holds.
        low: smallest value allowed.
        high: largest value allowed.

    Raises:
        ModelError: naming the field, its value and the range.

    Example:
        >>> check_integer("EDSR", "blocks", 16, 1, 256)
        >>> check_integer("EDSR", "blocks", 0, 1, 256)
        Traceback (most recent call last):
        pixperts.errors.ModelError: EDSR's blocks is 0, but must be a whole number in 1..256.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ModelError(
            f"{owner}'s {name} is {value!r}, but must be a whole number in {low}..{high}."
        )
