"""Which formats of picture files this installation reads and writes."""

from dataclasses import asdict, dataclass
from typing import Any

from pixperts.io.decoders.foreign import EXTRAS, has_decoder, needs_decoder
from pixperts.io.encoders.foreign import ENCODERS
from pixperts.io.formats import NAMES, RAW_SUFFIXES, READ_SUFFIXES, SUFFIXES
from pixperts.io.vips import supports
from pixperts.io.writable import writable_formats

# Of files that are read only; those of the others stand in `SUFFIXES`.
_ENDINGS = {
    ".gif": "gif",
    ".jpe": "jpeg",
    ".jfif": "jpeg",
    ".j2k": "jp2",
    ".bmp": "bmp",
    ".tga": "tga",
    ".dds": "dds",
}


@dataclass(frozen=True)
class FormatSupport:
    """One format; the extras are what to install where it is not read or not written.

    They are None where nothing helps.
    """

    name: str
    endings: tuple[str, ...]
    reads: bool
    writes: bool
    extra: str | None
    write_extra: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return asdict(self)


def reads(kind: str) -> bool:
    """Whether this installation reads a format, a key of `formats.NAMES`; imports no decoder."""
    return has_decoder(kind) if needs_decoder(kind) else supports(kind, "load")


def list_formats() -> list[FormatSupport]:
    """All formats in the order of `formats.NAMES`; no decoder is imported."""
    able = writable_formats()
    found = []
    for kind, name in NAMES.items():
        able_to_read = reads(kind)
        extra = EXTRAS[kind][0] if needs_decoder(kind) and not able_to_read else None
        writes = kind in able
        to_write = ENCODERS[kind][0] if kind in ENCODERS and not writes else None
        found.append(FormatSupport(name, _endings(kind), able_to_read, writes, extra, to_write))
    return found


def _endings(kind: str) -> tuple[str, ...]:
    if kind == "raw":
        return tuple(sorted(RAW_SUFFIXES))
    known = {**SUFFIXES, **_ENDINGS}
    assert known.keys() == READ_SUFFIXES
    return tuple(ending for ending, of in known.items() if of == kind)
