"""What an OpenEXR file says of itself, for another one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

CHROMATICITIES = "chromaticities"


@dataclass(frozen=True)
class ExrHeader:
    """`half` says that samples have 16 bits; attributes are name, type and value.

    Types are written as OpenImageIO does, such as "float[8]".
    """

    half: bool = False
    attributes: tuple[tuple[str, str, Any], ...] = ()

    def stripped(self) -> "ExrHeader":
        """Without all that does not say how the pixels look."""
        kept = tuple(one for one in self.attributes if one[0] == CHROMATICITIES)
        return ExrHeader(self.half, kept)

    def names(self) -> Iterator[str]:
        """Of the attributes that say more than how the pixels are to be seen."""
        usual = {CHROMATICITIES, "PixelAspectRatio", "Software"}
        return (
            name
            for name, _, _ in self.attributes
            if name not in usual and not name.startswith("screenWindow")
        )
