"""How photos and pairs are packed. Importing this costs nothing."""

from dataclasses import dataclass

from pixperts.errors import UsageError, named
from pixperts.options import check_options, option, parse_bytes

PACK_FORMATS = ("png", "jpeg", "webp")


@dataclass(frozen=True)
class PackOptions:
    """How a pack is made.

    Raises:
        UsageError: naming the option.
    """

    # Bytes; one sample alone may have more.
    shard_size: int = option(
        256_000_000, "Largest size of a shard.", parse=parse_bytes, shown="256M", metavar="BYTES"
    )
    crop: int | None = option(
        None, "Cut larger pictures into tiles of this side.", low=1, metavar="PIXELS"
    )
    overlap: int = option(0, "Overlap of neighboring tiles, in pixels.", low=0, metavar="PIXELS")
    format: str | None = option(
        None,
        "png, webp (lossless) or jpeg. Unset: JPEG files as they are, the rest as PNG.",
        choices=PACK_FORMATS,
    )
    skip_bad: bool = option(False, "Leave out what cannot be used, and count it.")

    def __post_init__(self) -> None:
        check_options(self)
        if self.overlap and self.overlap >= (self.crop or 0):
            raise UsageError(
                f"{named('overlap')} is {self.overlap}, but must be less than {named('crop')}."
            )
