"""Arrays and tensors of pictures; no files, no networks."""

from typing import TYPE_CHECKING

from pixperts.lazy import attach

if TYPE_CHECKING:
    from pixperts.ops.color_match import match_low_frequencies
    from pixperts.ops.pixels import from_float, to_float
    from pixperts.ops.resize import bicubic
    from pixperts.ops.transparency import fill_transparent
    from pixperts.ops.windows import Part, Window
else:
    __getattr__ = attach(
        __name__,
        {
            "color_match": ["match_low_frequencies"],
            "pixels": ["from_float", "to_float"],
            "resize": ["bicubic"],
            "transparency": ["fill_transparent"],
            "windows": ["Part", "Window"],
        },
    )

__all__ = [
    "Part",
    "Window",
    "bicubic",
    "fill_transparent",
    "from_float",
    "match_low_frequencies",
    "to_float",
]
