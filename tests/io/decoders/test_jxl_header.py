"""Headers of JPEG XL, written bit by bit as the standard says."""

import pytest

from pixperts.io.decoders.jxl_header import read_codestream


class Writer:
    def __init__(self) -> None:
        self.bits: list[int] = []

    def put(self, value: int, count: int) -> "Writer":
        self.bits += [value >> place & 1 for place in range(count)]
        return self

    def choice(self, selector: int, value: int = 0, count: int = 0) -> "Writer":
        return self.put(selector, 2).put(value, count)

    def data(self) -> bytes:
        number = sum(bit << place for place, bit in enumerate(self.bits))
        return b"\xff\x0a" + number.to_bytes(len(self.bits) // 8 + 1, "little") + bytes(8)


def sized(width: int, height: int) -> Writer:
    """Both sides by 13 bits."""
    return Writer().put(0, 1).choice(1, height - 1, 13).put(0, 3).choice(1, width - 1, 13)


def metadata(writer: Writer, orientation: int = 1, animated: bool = False) -> Writer:
    """Up to the depth, without anything that is left out as usual."""
    writer.put(0, 1).put(1, 1).put(orientation - 1, 3)
    writer.put(0, 1).put(0, 1).put(animated, 1)
    if animated:
        writer.choice(0).choice(0).choice(0).put(0, 1)
    return writer


def test_everything_as_usual() -> None:
    found = read_codestream(sized(700, 1200).put(1, 1).data())
    assert (found.size, found.bits, found.gray, found.animated) == ((700, 1200), 8, False, False)
    assert found.color is not None
    assert found.color.is_srgb


@pytest.mark.parametrize(
    ("ratio", "width"), [(1, 240), (2, 288), (3, 320), (4, 360), (5, 426), (6, 300), (7, 480)]
)
def test_sizes_by_a_ratio(ratio: int, width: int) -> None:
    small = Writer().put(1, 1).put(29, 5).put(ratio, 3).put(1, 1)
    assert read_codestream(small.data()).size == (width, 240)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_is_upright(orientation: int) -> None:
    writer = metadata(sized(70, 30), orientation).put(0, 1).choice(0).put(1, 1)
    found = read_codestream(writer.choice(0).put(1, 1).put(1, 1).data())
    assert found.size == ((30, 70) if orientation >= 5 else (70, 30))


@pytest.mark.parametrize(
    ("selector", "value", "count", "bits"),
    [(0, 0, 0, 8), (1, 0, 0, 10), (2, 0, 0, 12), (3, 13, 6, 14)],
)
def test_depth_alpha_and_animation(selector: int, value: int, count: int, bits: int) -> None:
    writer = metadata(sized(70, 30), animated=True)
    writer.put(0, 1).choice(selector, value, count).put(1, 1)
    writer.choice(2, 0, 4).put(1, 1).put(0, 1)  # two channels: alpha as usual, and another
    writer.choice(0).put(0, 1).choice(1).choice(0).choice(1, 3, 4).put(0, 24).put(1, 1)
    found = read_codestream(writer.put(0, 1).put(1, 1).data())
    assert found.bits == bits
    assert found.animated


def colored(profile: int = 0) -> Writer:
    writer = metadata(sized(70, 30)).put(0, 1).choice(0).put(1, 1).choice(0)
    return writer.put(0, 1).put(0, 1).put(profile, 1)


def test_colors_by_numbers() -> None:
    p3 = colored().choice(0).choice(1).choice(2, 9, 4).put(0, 1).choice(2, 11, 4)
    color = read_codestream(p3.data()).color
    assert color is not None
    assert color.codes == (12, 13)
    assert color.profile(False) is not None
    gray = read_codestream(colored().choice(1).choice(1).put(0, 1).choice(2, 6, 4).data())
    assert gray.gray
    assert gray.color is not None
    assert gray.color.codes == (1, 8)
    gamma = colored().choice(0).choice(1).choice(1).put(1, 1).put(4545455, 24)
    color = read_codestream(gamma.data()).color
    assert color is not None
    assert color.codes == (1, 4)
    custom = colored().choice(0).choice(2, 0, 4)
    custom.choice(0, 312700, 19).choice(0, 329000, 19)
    color = read_codestream(custom.choice(1).put(0, 1).choice(2, 11, 4).data()).color
    assert color is not None
    assert color.profile(False) is None


def test_a_profile_says_the_colors() -> None:
    assert read_codestream(colored(profile=1).choice(0).data()).color is None


def test_what_is_no_header() -> None:
    black = metadata(sized(70, 30)).put(0, 1).choice(0).put(1, 1)
    black.choice(1).put(0, 1).choice(2, 2, 4).put(0, 1).choice(0).choice(0).choice(0)
    for data in (b"", b"\xff\x0b1234", sized(70, 30).data()[:4], black.data()):
        with pytest.raises(ValueError, match=r"codestream|cut short|neither color nor alpha"):
            read_codestream(data)
