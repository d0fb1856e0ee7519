"""What a file says of its colors in numbers, not by a profile: CICP codes, and PNG's chunks."""

import functools
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from pixperts.io.color.icc_build import (
    Matrix,
    Point,
    curve_tag,
    gray_profile,
    matrix_profile,
    rgb_to_xyz,
)

UNSPECIFIED = 2
PQ, HLG = 16, 18
WHITE_NITS = 203.0  # ITU-R BT.2408: white of a page in a picture of high dynamic range
_HLG_PEAK = 1000.0

_D65, _C, _DCI = (0.3127, 0.3290), (0.310, 0.316), (0.314, 0.351)
_709 = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65)
_601 = ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65)
_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
# ITU-T H.273, table 2: red, green, blue and white.
PRIMARIES: dict[int, tuple[Point, Point, Point, Point]] = {
    1: _709,
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), _C),
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),
    6: _601,
    7: _601,
    8: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _C),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: (*_P3, _DCI),
    12: (*_P3, _D65),
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}
_LIKE_SRGB = frozenset({1, 6, 11, 12, 13, 14, 15})  # transfers that viewers show by the sRGB curve
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0, 17: 2.6}
_NAMES = {8: "linear", PQ: "PQ", HLG: "HLG"}
_LINEAR, _SRGB_TRANSFER = 8, 13
_WITH_NUMBERS = (1, 9, 12)  # primaries of sRGB, BT.2020 and Display P3
# PNG's numbers are of 1/100000.
_SRGB_GAMMA = 45455
_UNIT = (100000).to_bytes(4, "big")
_SRGB_CORNERS = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)


@dataclass(frozen=True)
class ColorTags:
    """How the codes of a picture are to be seen, where a file says so without a profile.

    `codes` are color primaries and transfer characteristics of ITU-T H.273 (CICP), as AVIF's nclx
    and PNG's cICP have them. `chunks` are PNG's chunks on color as stored: sRGB, gAMA, cHRM, mDCV
    and cLLI; `boxes` those of AVIF on light: clli and mdcv.
    """

    codes: tuple[int, int] | None = None
    codes_first: bool = False  # before a profile, as in PNG
    chunks: tuple[tuple[bytes, bytes], ...] = field(default=(), repr=False)
    boxes: tuple[tuple[bytes, bytes], ...] = field(default=(), repr=False)

    @property
    def is_hdr(self) -> bool:
        """Whether codes stand for light that is brighter than white."""
        return self.codes is not None and self.codes[1] in (PQ, HLG)

    @property
    def is_linear(self) -> bool:
        """Whether numbers are proportional to light."""
        if self.codes is not None:
            return self.codes[1] == _LINEAR
        return self.gamma == 100000

    def encoded(self) -> "ColorTags":
        """The same primaries with the curve of sRGB."""
        if self.codes is not None:
            return replace(self, codes=(self.codes[0], _SRGB_TRANSFER))
        chunks = dict(self.chunks) | {b"gAMA": _SRGB_GAMMA.to_bytes(4, "big")}
        return replace(self, chunks=tuple(chunks.items()))

    @classmethod
    def linear(cls, corners: Sequence[float]) -> "ColorTags | None":
        """Linear light with red, green, blue and white at these x and y; None without a way."""
        for code in _WITH_NUMBERS:
            known = [number for point in PRIMARIES[code] for number in point]
            if max(abs(a - b) for a, b in zip(corners, known, strict=True)) < 0.001:
                return cls((code, _LINEAR))
        numbers = [round(100000 * value) for value in (*corners[6:], *corners[:6])]
        if min(numbers) < 0:
            return None
        tags = cls(chunks=((b"cHRM", struct.pack(">8I", *numbers)), (b"gAMA", _UNIT)))
        return None if tags.matrix() is None else tags

    @property
    def is_srgb(self) -> bool:
        """Whether codes are those of sRGB, or nothing is said, which means the same."""
        if self.codes is not None:
            return self.codes[0] in (1, UNSPECIFIED) and self.codes[1] in {
                *_LIKE_SRGB,
                UNSPECIFIED,
            }
        gamma, corners = self.gamma, self.corners
        close = gamma is None or abs(gamma - _SRGB_GAMMA) <= 500
        for one, other in zip(corners or (), _SRGB_CORNERS, strict=False):
            close = close and abs(one - other) <= 100
        return close or b"sRGB" in dict(self.chunks)

    def leads(self, icc: bytes | None) -> bool:
        """Whether these count and not a profile that stands beside them.

        Codes lead in PNG (3rd edition, 11.3.2) and where they mean more light than a profile can.
        """
        return icc is None or (self.codes is not None and (self.is_hdr or self.codes_first))

    @property
    def gamma(self) -> int | None:
        """The exponent of the encoding in 1/100000 (PNG, gAMA)."""
        data = dict(self.chunks).get(b"gAMA", b"")
        value = int.from_bytes(data, "big") if len(data) == 4 else 0
        return value if 1000 <= value <= 1000000 else None

    @property
    def corners(self) -> tuple[int, ...] | None:
        """White, red, green, blue: x and y in 1/100000 (PNG, cHRM)."""
        data = dict(self.chunks).get(b"cHRM", b"")
        return struct.unpack(">8I", data) if len(data) == 32 else None

    @property
    def name(self) -> str:
        """For a person."""
        if self.codes is None:
            return f"gamma {self.gamma / 100000:.3g}" if self.gamma else "its own primaries"
        transfer = _NAMES.get(self.codes[1], "")
        return f"CICP {self.codes[0]}/{self.codes[1]}" + (f" ({transfer})" if transfer else "")

    def matrix(self) -> Matrix | None:
        """From linear RGB to XYZ, or None where the primaries are not known."""
        if self.codes is not None:
            points = PRIMARIES.get(1 if self.codes[0] == UNSPECIFIED else self.codes[0])
            return None if points is None else rgb_to_xyz(*points)
        if self.corners is None:
            return rgb_to_xyz(*_709)
        x = [value / 100000 for value in self.corners]
        try:
            return rgb_to_xyz((x[2], x[3]), (x[4], x[5]), (x[6], x[7]), (x[0], x[1]))
        except ValueError:
            return None

    def curve(self) -> NDArray[np.float64] | float | None:
        """From code to light as `icc_build.curve_tag` takes it; highlights end at white.

        Raises ValueError where the transfer is not known.
        """
        if self.codes is None:
            return None if self.gamma is None else 100000 / self.gamma
        transfer = self.codes[1]
        if transfer in _LIKE_SRGB or transfer == UNSPECIFIED:
            return None
        if transfer in _GAMMAS:
            return _GAMMAS[transfer]
        if transfer not in (PQ, HLG):
            raise ValueError("unknown transfer")
        light = light_of(transfer, np.linspace(0, 1, 4096))
        if transfer == HLG:  # the display's own gamma, by channel, which is right for grays
            light = light**1.2 * _HLG_PEAK / WHITE_NITS
        return light.clip(0, 1)

    def profile(self, gray: bool) -> bytes | None:
        """A profile that says the same, or None where there is nothing to say or no way to."""
        return None if self.is_srgb else _profile(self, gray)


@functools.lru_cache(maxsize=16)
def _profile(tags: ColorTags, gray: bool) -> bytes | None:
    matrix = tags.matrix()
    if matrix is None:
        return None
    try:
        curve = curve_tag(tags.curve())
    except ValueError:
        return None
    name = f"pixperts {tags.name}"
    return gray_profile(name, curve) if gray else matrix_profile(name, matrix, curve, tags.codes)


def light_of(transfer: int, codes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light for codes of 0 to 1: PQ's of the screen, white as 1; HLG's of the scene, 0 to 1."""
    if transfer == PQ:  # SMPTE ST 2084, equation 4.1
        m1, m2 = 2610 / 16384, 2523 / 4096 * 128
        c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
        power = codes ** (1 / m2)
        light = (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
        result: NDArray[np.float64] = light * 10000 / WHITE_NITS
        return result
    # ITU-R BT.2100, table 5.
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    return np.where(codes <= 0.5, codes**2 / 3, (np.exp((codes - c) / a) + b) / 12)
