"""Check sizes in configurations, as a damaged or hostile weights file may hold absurd ones."""

from pixperts.errors import ModelError


def check_integer(owner: str, name: str, value: object, low: int, high: int) -> None:
    """Check that a size is a whole number in low..high.

    Args:
        owner: the network or part with this field, for the message.
        name: of the field.
        value: of the field.
        low: smallest value allowed.
        high: largest value allowed.

    Raises:
        ModelError: it is not; the message names field, value and range.

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
