"""Trained models applied to pictures of any size, on any device."""

from typing import TYPE_CHECKING

from pixperts.lazy import attach

if TYPE_CHECKING:
    from pixperts.inference.analysis import Analysis, analyze
    from pixperts.inference.enhancer import Enhancer
    from pixperts.inference.expert_maps import draw
    from pixperts.inference.findings import RepairSettings
    from pixperts.inference.loading import load
    from pixperts.inference.predictor import Predictor
    from pixperts.inference.restorer import Restorer
    from pixperts.inference.size_request import SizeRequest
    from pixperts.inference.streams import PixelSink, PixelSource
    from pixperts.inference.upscaler import Upscaler
else:
    __getattr__ = attach(
        __name__,
        {
            "analysis": ["Analysis", "analyze"],
            "enhancer": ["Enhancer"],
            "expert_maps": ["draw"],
            "findings": ["RepairSettings"],
            "loading": ["load"],
            "predictor": ["Predictor"],
            "restorer": ["Restorer"],
            "size_request": ["SizeRequest"],
            "streams": ["PixelSource", "PixelSink"],
            "upscaler": ["Upscaler"],
        },
    )

__all__ = [
    "Analysis",
    "Enhancer",
    "PixelSink",
    "PixelSource",
    "Predictor",
    "RepairSettings",
    "Restorer",
    "SizeRequest",
    "Upscaler",
    "analyze",
    "draw",
    "load",
]
