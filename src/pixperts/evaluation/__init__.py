"""Quality and cost, measured on folders of pictures."""

from typing import TYPE_CHECKING

from pixperts.lazy import attach

if TYPE_CHECKING:
    from pixperts.evaluation.metrics import psnr, ssim
    from pixperts.evaluation.restoration import RestorationSet, evaluate_restoration
    from pixperts.evaluation.signatures import measure_signatures
    from pixperts.evaluation.upscaling import bicubic_upscaler, evaluate_upscaling
else:
    __getattr__ = attach(
        __name__,
        {
            "metrics": ["psnr", "ssim"],
            "restoration": ["RestorationSet", "evaluate_restoration"],
            "signatures": ["measure_signatures"],
            "upscaling": ["bicubic_upscaler", "evaluate_upscaling"],
        },
    )

__all__ = [
    "RestorationSet",
    "bicubic_upscaler",
    "evaluate_restoration",
    "evaluate_upscaling",
    "measure_signatures",
    "psnr",
    "ssim",
]
