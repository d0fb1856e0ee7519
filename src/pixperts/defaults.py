"""What both the command line and the library take for granted; importing it costs nothing."""

from typing import Literal

DEFAULT_MODEL = "moeisr-photo"
DEFAULT_REPAIR_MODEL = "moce-ir-light"
DEFAULT_ENHANCE_MODEL = "moce-isr-light"  # repairs and enlarges in one pass
MAX_PIXELS = 500_000_000  # of an input


def models_for_both(enlarges: str, repairs: str) -> tuple[str, str | None]:
    """A model that enlarges, and one that repairs first: one for both while neither was changed.

    Example:
        >>> models_for_both(DEFAULT_MODEL, DEFAULT_REPAIR_MODEL)
        ('moce-isr-light', None)
        >>> models_for_both("moeisr-light", DEFAULT_REPAIR_MODEL)
        ('moeisr-light', 'moce-ir-light')
    """
    if (enlarges, repairs) == (DEFAULT_MODEL, DEFAULT_REPAIR_MODEL):
        return DEFAULT_ENHANCE_MODEL, None
    return enlarges, repairs


ColorFix = Literal["none", "mean", "wavelet"]
ToneMode = Literal["auto", "off", "on"]  # undo darkness and haze: if sure, never, always
REPAIR_PARTS = ("scout", "detail", "tone")  # of moce-ir-light, as graphs
JUDGE = "judge"  # part of moeisr-photo, as a graph
