"""Pairs to measure how well typical pictures are repaired, and whether good ones stay unchanged.

Beside the tasks of `degradations.tasks` there are compressed noise, darkness of several levels, and
pictures that only look as if they had faults. All faults are synthetic.
"""

import math
import re
from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from pixperts.degradations.drawings import draw_over
from pixperts.degradations.mixture import Step, apply_steps, faulty
from pixperts.errors import UsageError
from pixperts.ops.resize import bicubic, quantize

DRAWINGS = ("hatching", "lines", "page", "screen", "dots")
EXPOSURES = (0.3, 0.12, 0.05)
_CHAINS: Mapping[str, tuple[Step, ...]] = MappingProxyType(
    {
        "noise5": (Step("white", {"sigma": 5.0}),),
        "noise25_jpeg90": (
            Step("white", {"sigma": 25.0}),
            Step("jpeg", {"quality": 90, "chroma": "4:2:0"}),
        ),
        "phone": (
            Step("camera", {"shot_noise": 4e-3, "read_noise": 8e-3, "size": 0.7}),
            Step("jpeg", {"quality": 85, "chroma": "4:2:0"}),
        ),
    }
)
_NOISE = Step("camera", {"shot_noise": 2e-3, "read_noise": 2e-3, "size": 0.6})
_FILE = Step("jpeg", {"quality": 85, "chroma": "4:2:0"})
_DARK = re.compile(r"dark(0?\.\d+)((?:_noise)?)((?:_jpeg)?)")
_HATCHED = re.compile(r"hatched(\d+)_(\d+)")
_SAVED = re.compile(rf"({'|'.join(DRAWINGS)})_jpeg([1-9]\d?|100)")

DARK_CASES = tuple(
    f"dark{exposure:g}{noise}{file}"
    for exposure in EXPOSURES
    for noise in ("", "_noise")
    for file in ("", "_jpeg")
)
NO_PHOTOS = ("dark_page", "scan", "sketch", "gray", "black")  # look dark, pale or hazy
UNTOUCHED = ("clean", *DRAWINGS, "hatched45_6", "hatched60_4", *NO_PHOTOS)
FAULTS = ("noise5", "noise25_jpeg90", "phone")
SAVED = ("screen_jpeg85", "screen_jpeg60", "page_jpeg85", "page_jpeg60", "lines_jpeg75")  # drawings


def repair_pair(photo: Tensor, case: str, seed: int) -> tuple[Tensor, Tensor]:
    """A picture with faults, and the target of its repair.

    Args:
        photo: (3, H, W) in [0, 1], in 8-bit levels.
        case: a task of `degradations.tasks`; one of `FAULTS`; "darkE", "darkE_noise", "darkE_jpeg"
            and "darkE_noise_jpeg", a share E of the light with the noise of a camera and with JPEG;
            "KIND_jpegQ", a drawing of `DRAWINGS` saved with quality Q; or, of `UNTOUCHED`, "clean",
            a kind of drawing, "hatchedA_P", black lines at A degrees every P pixels, or one of
            `NO_PHOTOS`.
        seed: 0 or more.

    Returns:
        Both (3, H, W) in [0, 1]; for the cases of `UNTOUCHED` they are equal.

    Raises:
        UsageError: an unknown case.
    """
    dark, hatched, saved = (known.fullmatch(case) for known in (_DARK, _HATCHED, _SAVED))
    if case in DRAWINGS:
        target = draw_over(photo, seed, case)
        return target, target
    if saved is not None:
        target = draw_over(photo, seed, saved[1])
        compression = Step("jpeg", {"quality": int(saved[2]), "chroma": "4:2:0"})
        return apply_steps(target, (compression,), seed).degraded, target
    if case in NO_PHOTOS:
        target = quantize(_no_photo(photo, seed, case))
        return target, target
    if hatched is not None:
        target = _hatched(photo, *map(int, hatched.groups()))
        return target, target
    if dark is not None:
        level, noise, file = dark.groups()
        steps = [Step("low_light", {"exposure": float(level), "gamma": 1.0})]
        steps += [_NOISE] if noise else []
        steps += [_FILE] if file else []
        return apply_steps(photo, tuple(steps), seed).degraded, photo
    if case in _CHAINS:
        return apply_steps(photo, _CHAINS[case], seed).degraded, photo
    try:
        return faulty(photo, case, seed).degraded, photo
    except UsageError as error:
        raise UsageError(f"case is {case!r}, but must be one of the known cases.") from error


def small_pair(photo: Tensor, scale: float, case: str, seed: int) -> tuple[Tensor, Tensor]:
    """A photo reduced by an antialiased bicubic kernel, with faults, and the photo itself.

    Args:
        photo: (3, H, W) in [0, 1]; less than `scale` rows and columns are cut off.
        scale: factor of the reduction, 1 or more.
        case: as in `repair_pair`, except drawings.
        seed: 0 or more.

    Returns:
        The small picture (3, h, w) and the photo (3, H, W), its target, in [0, 1].

    Raises:
        UsageError: an unknown case, a drawing or a bad seed.
    """
    if case in UNTOUCHED[1:] or _HATCHED.fullmatch(case) or _SAVED.fullmatch(case):
        raise UsageError(f"{case} is drawn over a picture, so there is no photo for it.")
    size = (math.floor(photo.shape[1] / scale), math.floor(photo.shape[2] / scale))
    whole = photo[:, : round(size[0] * scale), : round(size[1] * scale)].contiguous()
    small = whole if scale == 1 else quantize(bicubic(whole, size))
    return repair_pair(small, case, seed)[0], whole


def _no_photo(photo: Tensor, seed: int, case: str) -> Tensor:
    """A page, light on dark or scanned from gray paper, a pencil sketch, or one level of gray."""
    if case in ("gray", "black"):
        return torch.full_like(photo, 0.02 if case == "black" else 0.15 + 0.1 * (seed % 8))
    if case == "sketch":
        gray = photo.mean(dim=0)
        edges = torch.zeros_like(gray)
        edges[1:, 1:] = (gray[1:, 1:] - gray[:-1, :-1]).abs()
        return (0.93 - 1.5 * edges.clamp(max=0.4)).expand(3, -1, -1)
    page = draw_over(photo, seed, "page").mean(dim=0, keepdim=True)  # (1, H, W)
    page = page if float(page.mean()) > 0.5 else 1 - page
    if case == "dark_page":
        return (0.1 + 0.75 * (1 - page)).expand(3, -1, -1)
    shade = torch.linspace(1, 0.85, photo.shape[2], device=photo.device)
    return ((0.3 + 0.5 * page) * shade).expand(3, -1, -1)


def _hatched(photo: Tensor, angle: int, period: int) -> Tensor:
    """Black lines 1.2 pixels wide on white, without smooth edges."""
    rows = torch.arange(photo.shape[1], dtype=torch.float64)[:, None]
    columns = torch.arange(photo.shape[2], dtype=torch.float64)
    turn = math.radians(angle)
    place = (columns * math.sin(turn) + rows * math.cos(turn)) % period
    return (place >= 1.2).float().expand(3, -1, -1).to(photo.device)
