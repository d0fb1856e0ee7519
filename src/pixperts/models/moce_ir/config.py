"""Configurations of MoCE-IR (arXiv 2411.18466), its presets, and the names in published weights."""

import re
from dataclasses import dataclass
from typing import Any

from pixperts.errors import ModelError
from pixperts.models.bounds import check_integer
from pixperts.models.moce_ir.experts import FOURIER_FORMS

LEVELS = 4


@dataclass(frozen=True)
class MoCEIRConfig:
    """Sizes and options of a model; the defaults are those of the larger model of the paper.

    Raises:
        ModelError: a value is not allowed, or a number of channels is not divisible as it must be.
    """

    dim: int = 48  # channels at full resolution, even; doubled at each of the three levels below
    encoder_blocks: tuple[int, ...] = (4, 6, 6)  # full resolution first
    latent_blocks: int = 8  # at the lowest resolution
    decoder_blocks: tuple[int, ...] = (2, 4, 4)  # full resolution first
    refinement_blocks: int = 4  # at full resolution, after the decoder
    heads: tuple[int, ...] = (1, 2, 4, 8)  # of every attention, full resolution first
    expansion: float = 2.0  # hidden channels of the feed-forward, relative to the block's
    windows: tuple[int, ...] = (4, 8, 16, 32)  # side of each expert's Fourier window in pixels
    rank_divisors: tuple[int, ...] = (8, 4, 2, 1)  # channels of an expert = the block's / this
    # The least number of channels of an expert. A layer norm of two channels keeps nothing of
    # their values but which one is larger.
    min_rank: int = 1
    expert_depth: int = 1  # layers of each expert
    top_k: int = 1  # experts per picture in each decoder block
    router_noise: float = 0.25  # standard deviation of the noise on the logits, in training
    motion: bool = False  # undo straight motion blur first, see `motion`; not part of the paper
    fourier: str = "fft"  # fft, or matrix: the same by matrix products only, for exports

    def __post_init__(self) -> None:
        """Raise ModelError that names the first field whose value is not allowed."""
        check_integer("MoCE-IR", "dim", self.dim, 1, 1024)
        for name, count in (("encoder_blocks", 3), ("decoder_blocks", 3), ("heads", LEVELS)):
            values = getattr(self, name)
            if not isinstance(values, tuple | list) or len(values) != count:
                raise ModelError(f"{name} is {values!r}, but must list {count} numbers.")
            for value in values:
                check_integer("MoCE-IR", name, value, 0 if name == "encoder_blocks" else 1, 64)
        for name in ("windows", "rank_divisors"):
            if not isinstance(getattr(self, name), tuple | list):
                raise ModelError(f"{name} is {getattr(self, name)!r}, but must be a list.")
            for value in getattr(self, name):
                check_integer("MoCE-IR", name, value, 1, 256)
        if not 2 <= len(self.windows) <= 64 or len(self.windows) != len(self.rank_divisors):
            raise ModelError("windows and rank_divisors must list one number for each expert.")
        for name, low, high in (
            ("latent_blocks", 0, 64),
            ("refinement_blocks", 0, 64),
            ("min_rank", 1, 1024),
            ("expert_depth", 1, 16),
            ("top_k", 1, len(self.windows)),
        ):
            check_integer("MoCE-IR", name, getattr(self, name), low, high)
        for level, heads in enumerate(self.heads):
            if self.channels(level) % heads:
                raise ModelError(f"{self.channels(level)} channels do not divide by {heads} heads.")
        if self.dim % 2:
            raise ModelError(f"dim is {self.dim}, but must be even: it is halved before shuffling.")
        for name, bottom, top in (("expansion", 0.5, 16.0), ("router_noise", 1e-3, 100.0)):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not bottom <= value <= top:
                raise ModelError(f"{name} is {value!r}, but must be in {bottom:g}..{top:g}.")
        if not isinstance(self.motion, bool):
            raise ModelError(f"motion is {self.motion!r}, but must be true or false.")
        if self.fourier not in FOURIER_FORMS:
            raise ModelError(f"fourier is {self.fourier!r}, but must be one of {FOURIER_FORMS}.")

    def channels(self, level: int) -> int:
        """Channels at a level from 0, the full resolution, to 3."""
        return self.dim << level

    def ranks(self, level: int) -> tuple[int, ...]:
        """Channels inside each expert at a level, from 0 to 3."""
        channels = self.channels(level)
        floor = min(self.min_rank, channels)
        return tuple(max(floor, channels // divisor) for divisor in self.rank_divisors)


_RENAMED = (
    (re.compile(r"^freq_embed\.high_conv\.0\.conv\.weight$"), "freq_embed.high_pass"),
    (re.compile(r"\.routing\.gate\.2\.weight$"), ".routing.gate.weight"),
)


def from_published_keys(state_dict: dict[str, Any]) -> dict[str, Any]:
    """The published state dict with the names that this package uses.

    The prefix `net.` is removed, and two names are shortened. `complexity` is left out: it follows
    from the sizes of the experts.

    Args:
        state_dict: tensors by the names of the authors' files.

    Returns:
        The same tensors; shapes and names are not checked.

    Example:
        >>> state = {"net.freq_embed.high_conv.0.conv.weight": 1, "net.x.routing.complexity": 2}
        >>> from_published_keys(state)
        {'freq_embed.high_pass': 1}
    """
    ours = {}
    for key, value in state_dict.items():
        name = key.removeprefix("net.")
        if name.endswith(".routing.complexity"):
            continue
        for pattern, replacement in _RENAMED:
            name = pattern.sub(replacement, name)
        ours[name] = value
    return ours


_TINY = MoCEIRConfig(
    dim=16,
    encoder_blocks=(1, 1, 1),
    latent_blocks=4,
    decoder_blocks=(1, 1, 1),
    refinement_blocks=2,
    min_rank=4,
    motion=True,
)
MOCE_PRESETS: dict[str, tuple[str, MoCEIRConfig]] = {
    "moce-ir": ("MoCE-IR as published", MoCEIRConfig()),
    "moce-ir-s": ("MoCE-IR-S, the published small one", MoCEIRConfig(dim=32)),
    "moce-ir-tiny": (
        "16 channels and few blocks, a stage for motion blur; for two CPU cores",
        _TINY,
    ),
}
