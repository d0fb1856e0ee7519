"""Patches for the judge of moeisr-photo: those of `factor_patches`, and drawings at their own size.

Text, lines and screens that were never reduced have hard edges, as screenshots have. There is no
larger version of them to compare with, so a sample holds the drawing before it was compressed.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pixperts.data.factor_patches import FactorPatches
from pixperts.degradations.camera import Chroma, jpeg
from pixperts.degradations.drawings import draw_over
from pixperts.ops.resize import quantize

_SAVED = 0.75  # share of the drawings that are saved as JPEG
_QUALITY = (30, 99)


class JudgePatch(NamedTuple):
    """One sample; all pictures are uint8."""

    lr: Tensor  # (3, p, p)
    photo: Tensor  # (3, P, P), the target; not for drawings
    plain: Tensor  # (3, p, p), the drawing before it was compressed, else as `lr`
    drawn: Tensor  # () bool, whether it is a drawing at its own size


class JudgePatches(FactorPatches):
    """`FactorPatches`, of which a share is replaced by drawings.

    Args:
        crisp: the share of drawings at their own size.
        options: of `FactorPatches`.
    """

    def __init__(self, *args: Any, crisp: float = 0.0, **options: Any) -> None:
        super().__init__(*args, **options)
        self.crisp = crisp

    def __getitem__(self, number: int) -> JudgePatch:  # type: ignore[override]
        """Sample `number`, the same on every call."""
        lr, photo, _ = super().__getitem__(number)
        random = np.random.Generator(np.random.PCG64([self.seed, number, 2]))
        if random.random() >= self.crisp:
            return JudgePatch(lr, photo, lr, torch.tensor(False))
        ground = photo[:, : self.side, : self.side].float() / 255
        plain = draw_over(ground, int(random.integers(2**31)))
        small = plain
        if random.random() < _SAVED:
            chroma: Chroma = "4:2:0" if random.random() < 0.7 else "4:4:4"
            small = quantize(jpeg(plain, quality=int(random.integers(*_QUALITY)), chroma=chroma))
        return JudgePatch(_levels(small), photo, _levels(plain), torch.tensor(True))


def _levels(image: Tensor) -> Tensor:
    return (image * 255).round().to(torch.uint8)
