"""Color profiles made from primaries and a curve (ICC.1:2022), for formats without other words."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]  # x and y of CIE 1931
Matrix = NDArray[np.float64]

D50 = np.array([0.9642, 1.0, 0.8249])  # ICC.1, 7.2.16
# Lam's "Bradford" cone responses, as ICC.1, annex E, takes them.
_CONES = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_TABLE = 4096  # entries of a curve
_SRGB = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)  # IEC 61966-2-1


def rgb_to_xyz(red: Point, green: Point, blue: Point, white: Point) -> Matrix:
    """The matrix from linear RGB to XYZ of the same white, (3, 3); Y of white is 1.

    Raises ValueError for points that span no colors.
    """
    try:
        columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in (red, green, blue)]).T
        target = np.array([white[0] / white[1], 1.0, (1 - white[0] - white[1]) / white[1]])
        matrix: Matrix = columns * np.linalg.solve(columns, target)
    except (ZeroDivisionError, np.linalg.LinAlgError) as error:
        raise ValueError("primaries that span no colors") from error
    if not np.isfinite(matrix).all() or np.abs(matrix).max() > 16:
        raise ValueError("primaries that span no colors")
    return matrix


def adapted(matrix: Matrix, white: NDArray[np.float64] = D50) -> Matrix:
    """RGB to XYZ with the white of `matrix` shown as another, by Bradford."""
    own = matrix.sum(axis=1)
    gains = (_CONES @ white) / (_CONES @ own)
    result: Matrix = np.linalg.inv(_CONES) @ np.diag(gains) @ _CONES @ matrix
    return result


def curve_tag(curve: NDArray[np.float64] | float | None) -> bytes:
    """A tone curve: a table of codes to light, both 0 to 1; a gamma; or None for that of sRGB."""
    if curve is None:
        return b"para\0\0\0\0\0\3\0\0" + b"".join(map(_fixed, _SRGB))
    if isinstance(curve, float):
        return b"para\0\0\0\0\0\0\0\0" + _fixed(curve)
    places = np.linspace(0, 1, _TABLE)
    table = np.interp(places, np.linspace(0, 1, len(curve)), curve)
    codes = (table.clip(0, 1) * 65535).round().astype(">u2")
    return b"curv\0\0\0\0" + _TABLE.to_bytes(4, "big") + codes.tobytes()


def matrix_profile(
    name: str, matrix: Matrix, curve: bytes, codes: tuple[int, int] | None = None
) -> bytes:
    """A profile of RGB; `matrix` leads to XYZ of its own white, `curve` is a `curve_tag`.

    `codes`, primaries and transfer of ITU-T H.273, are for readers that know more of them.
    """
    columns = adapted(matrix).T
    tags = {
        key: _xyz(column) for key, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)
    }
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    if codes is not None:
        tags[b"cicp"] = b"cicp\0\0\0\0" + bytes((*codes, 0, 1))
    return _profile(b"RGB ", name, tags)


def gray_profile(name: str, curve: bytes) -> bytes:
    """A profile of gray with this curve."""
    return _profile(b"GRAY", name, {b"kTRC": curve})


def _profile(space: bytes, name: str, tags: dict[bytes, bytes]) -> bytes:
    tags = {b"desc": _text(name), b"cprt": _text("CC0"), b"wtpt": _xyz(D50), **tags}
    start = 128 + 4 + 12 * len(tags)
    table, body = len(tags).to_bytes(4, "big"), b""
    places: dict[bytes, int] = {}  # tags of the same content share it
    for key, data in tags.items():
        if data not in places:
            places[data] = start + len(body)
            body += data + bytes(-len(data) % 4)
        table += key + places[data].to_bytes(4, "big") + len(data).to_bytes(4, "big")
    head = (start + len(body)).to_bytes(4, "big") + bytes(4) + b"\4\x40\0\0"
    head += b"mntr" + space + b"XYZ " + bytes.fromhex("07e8 0001 0001 0000 0000 0000")
    head += b"acsp" + bytes(28) + _xyz(D50)[8:]
    return head.ljust(128, b"\0") + table + body


def _text(text: str) -> bytes:
    data = text.encode("utf-16-be")
    record = b"enUS" + len(data).to_bytes(4, "big") + (28).to_bytes(4, "big")
    return b"mluc\0\0\0\0" + (1).to_bytes(4, "big") + (12).to_bytes(4, "big") + record + data


def _xyz(values: Sequence[float] | NDArray[np.float64]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_fixed, values))


def _fixed(value: float) -> bytes:
    return round(float(value) * 65536).to_bytes(4, "big", signed=True)
