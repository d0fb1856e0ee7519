import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixperts.errors import UsageError
from pixperts.inference.size_request import MAX_SIDE, SizeRequest, parse_scale, parse_size
from pixperts.memory import check_memory

ONE_EACH: dict[str, object] = {
    "scale": 2.0,
    "size": (640, 480),
    "width": 640,
    "height": 480,
    "long_side": 640,
    "short_side": 480,
    "megapixels": 1.0,
}


def request(**options: object) -> SizeRequest:
    return SizeRequest(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("scale", "source", "expected"),
    [
        (2, (5, 7), (10, 14)),
        (2.5, (5, 7), (13, 18)),  # 12.5 and 17.5
        (1.5, (3, 1), (5, 2)),  # 4.5 and 1.5
        (1.005, (100, 300), (101, 302)),  # 100.5, which binary puts just below, and 301.5
        (0.1, (3, 100), (1, 10)),
        (1 / 3, (300, 3), (100, 1)),
        (30, (1, 1), (30, 30)),
    ],
)
def test_scale(scale: float, source: tuple[int, int], expected: tuple[int, int]) -> None:
    assert SizeRequest(scale=scale).resolve(*source) == expected


@pytest.mark.parametrize(
    ("options", "source", "expected"),
    [
        ({"size": (640, 480)}, (10, 1000), (640, 480)),
        ({"width": 1920}, (4000, 3000), (1920, 1440)),
        ({"width": 3}, (2, 1), (3, 2)),  # 1.5
        ({"width": 1}, (1000, 1), (1, 1)),
        ({"height": 1080}, (4000, 3000), (1440, 1080)),
        ({"height": 3}, (1, 2), (2, 3)),
        ({"long_side": 100}, (400, 300), (100, 75)),
        ({"long_side": 100}, (300, 400), (75, 100)),
        ({"long_side": 100}, (300, 300), (100, 100)),
        ({"short_side": 90}, (400, 300), (120, 90)),
        ({"short_side": 90}, (300, 400), (90, 120)),
        ({"short_side": 90}, (300, 300), (90, 90)),
        ({"megapixels": 6}, (20, 30), (2000, 3000)),
        ({"megapixels": 12}, (4, 3), (4000, 3000)),
        ({"megapixels": 1e-9}, (4, 3), (1, 1)),
    ],
)
def test_other_requests(
    options: dict[str, object], source: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert request(**options).resolve(*source) == expected


@given(st.integers(1, 9000), st.integers(1, 9000), st.integers(1, 100))
@pytest.mark.slow
def test_proportions_are_within_half_a_pixel(width: int, height: int, side: int) -> None:
    wide, high = SizeRequest(width=side).resolve(width, height)
    assert wide == side
    assert high == 1 or abs(high - side * height / width) <= 0.5
    wide, high = SizeRequest(height=side).resolve(width, height)
    assert high == side
    assert wide == 1 or abs(wide - side * width / height) <= 0.5
    assert SizeRequest(long_side=side).resolve(width, height)[width < height] == side
    assert SizeRequest(short_side=side).resolve(width, height)[width >= height] == side


@given(st.integers(1, 9000), st.integers(1, 9000), st.floats(0.01, 30))
@pytest.mark.slow
def test_scale_is_the_nearest(width: int, height: int, scale: float) -> None:
    result = SizeRequest(scale=scale).resolve(width, height)
    for side, got in zip((width, height), result, strict=True):
        assert got >= 1
        assert got == 1 or abs(got - side * scale) <= 0.5 + 1e-6


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(ONE_EACH, 2)))
def test_clashes_name_the_options(first: str, second: str) -> None:
    with pytest.raises(UsageError) as caught:
        request(**{first: ONE_EACH[first], second: ONE_EACH[second]})
    text = str(caught.value)
    assert text.startswith(f"{first} and {second} contradict each other")
    if (first, second) == ("width", "height"):
        assert text.endswith("give size, which has both.")


def test_three_clash_and_none_is_twofold() -> None:
    with pytest.raises(UsageError, match=r"^scale, width and megapixels contradict"):
        SizeRequest(scale=2, width=4, megapixels=1)
    assert SizeRequest() == SizeRequest(scale=2)
    assert SizeRequest().resolve(5, 7) == (10, 14)


@pytest.mark.parametrize(
    ("text", "scale"),
    [("2", 2), ("2.5", 2.5), ("2x", 2), ("x4", 4), ("3X", 3), (" 1.5× ", 1.5), ("200%", 2)],
)
def test_factors_as_people_write_them(text: str, scale: float) -> None:
    assert parse_scale(text) == scale


@pytest.mark.parametrize("text", ["", "x", "two", "2xx2", "2 by", "%", "2x%", "1,5"])
def test_what_is_no_factor(text: str) -> None:
    with pytest.raises(UsageError, match="is not a factor such as"):
        parse_scale(text)


@pytest.mark.parametrize("name", ["scale", "megapixels"])
@pytest.mark.parametrize("value", [0, -1, -0.5, math.nan, math.inf, -math.inf, 1e300, True, "2"])
def test_bad_amounts(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"^{name} ") as caught:
        request(**{name: value})
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("name", ["width", "height", "long_side", "short_side"])
@pytest.mark.parametrize("value", [0, -3, MAX_SIDE + 1, 2.5, math.nan, True, "640"])
def test_bad_sides(name: str, value: object) -> None:
    with pytest.raises(UsageError, match="^" + name):
        request(**{name: value})


@pytest.mark.parametrize("name", ["scale", "megapixels", "width", "short_side"])
@pytest.mark.parametrize("sign", [1, -1])
def test_numbers_too_long_to_print(name: str, sign: int) -> None:
    with pytest.raises(UsageError, match=r"beyond 10\^12"):
        request(**{name: sign * 10**5000})


@pytest.mark.parametrize("value", [(0, 4), (4, -1), (4, MAX_SIDE + 1), (4,), (1, 2, 3), [4, 4]])
def test_bad_pairs(value: object) -> None:
    with pytest.raises(UsageError, match=r"^size"):
        request(size=value)


def test_results_over_the_limit() -> None:
    assert SizeRequest(scale=1000).resolve(1000, 10) == (1_000_000, 10_000)
    for wanted in (
        SizeRequest(scale=1001),
        SizeRequest(scale=1e12),
        SizeRequest(height=20_000),
        SizeRequest(megapixels=1e10),
    ):
        with pytest.raises(UsageError, match="over the limit of 1000000 per side"):
            wanted.resolve(1000, 10)


def test_pictures_without_pixels() -> None:
    for size in ((0, 5), (5, 0), (-1, 5)):
        with pytest.raises(UsageError, match="cannot be enlarged"):
            SizeRequest(scale=2).resolve(*size)


def test_requests_compare_and_cannot_change() -> None:
    assert SizeRequest(size=parse_size("640X480")) == SizeRequest(size=(640, 480))
    with pytest.raises(UsageError, match="scale and size"):
        SizeRequest(scale=2, size=(4, 4))
    with pytest.raises(AttributeError):
        SizeRequest(scale=2).scale = 3  # type: ignore[misc]


@pytest.mark.parametrize("text", ["1920x1080", "1920X1080", "1920×1080", " 1920 x 1080 "])
def test_parse_size(text: str) -> None:
    assert parse_size(text) == (1920, 1080)


@pytest.mark.parametrize(
    "text", ["", "x", "1920", "1920x", "x1080", "1920*1080", "-4x4", "4.5x4", "4x4x4", "١x٢"]
)
def test_parse_size_refuses(text: str) -> None:
    with pytest.raises(UsageError, match="is not WIDTHxHEIGHT, such as 1920x1080"):
        parse_size(text)


@pytest.mark.parametrize("text", ["0x4", "4x0", "1000001x4", "4x9999999999"])
def test_parse_size_bounds(text: str) -> None:
    with pytest.raises(UsageError, match=r"^size must be at"):
        parse_size(text)


def test_check_memory() -> None:
    # 1000 * 1000 * 3 floats of 4 bytes, twice: 24 MB.
    check_memory(1000, 1000, 3, available=24_000_000)
    with pytest.raises(UsageError, match=r"1000 x 1000 pixels needs 24\.0 GB.*0\.0 GB") as caught:
        check_memory(1000, 1000, 3000, available=1)
    assert "smaller size" in str(caught.value)
    with pytest.raises(UsageError):
        check_memory(1000, 1000, 3, available=23_999_999)
    check_memory(1000, 1000, 1, available=8_000_000)
    with pytest.raises(UsageError, match="smaller size"):
        check_memory(MAX_SIDE, MAX_SIDE)
    check_memory(8, 8)
