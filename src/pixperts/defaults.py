"""What both the command line and the library take for granted; importing it costs nothing."""

from typing import Literal

DEFAULT_MODEL = "moeisr-photo"
DEFAULT_REPAIR_MODEL = "moce-ir-light"
DEFAULT_ENHANCE_MODEL = "moce-isr-light"  # repairs and enlarges in one pass
MAX_PIXELS = 500_000_000  # of an input

ColorFix = Literal["none", "mean", "wavelet"]
ToneMode = Literal["auto", "off", "on"]  # undo darkness and haze: if sure, never, always
REPAIR_PARTS = ("scout", "detail", "tone")  # of moce-ir-light, as graphs
