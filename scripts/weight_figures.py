"""What weights reach on the benchmarks, and a table of two of them, for `weights.py`."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pixperts.inference.enhancer import Enhancer
    from pixperts.inference.upscaler import Upscaler

REPAIRS = {  # set: tasks
    "CBSD68": ("noise15", "noise25", "noise50"),
    "CID22-val": (
        "rain", "haze", "low_light", "blur", "snow", "low_haze_rain", "jpeg", "grain", "grain_jpeg",
        "scratches", "clean",
    ),
}  # fmt: skip
ENLARGES = ("Set5", "Set14", "B100")
PHOTO_CASES = ("clean", "jpeg95", "jpeg85", "jpeg75", "jpeg60", "jpeg40", "soft75")  # of CID22-val
ENHANCED_CASES = (  # of CID22-val, as `repair_cases` has them
    "clean", "jpeg", "phone", "noise15", "noise25_jpeg90", "grain", "rain", "snow", "scratches",
)  # fmt: skip
SCALES = (2, 3, 4)

Figures = dict[str, float]  # what was measured, in dB


def figures_of(weights: str, bench: Path, limit: int | None, photos: bool = False) -> Figures:
    """PSNR on every benchmark of what the model does, by the package's own evaluation.

    Args:
        weights: name or file.
        bench: folder of the benchmarks.
        limit: only so many pictures of CBSD68 and CID22-val; all where None.
        photos: whether to enlarge photos as they come, in place of the papers' benchmarks.
    """
    from pixperts.data.benchmarks import SuperResolutionSet
    from pixperts.evaluation.restoration import RestorationSet, evaluate_restoration
    from pixperts.evaluation.upscaling import evaluate_upscaling
    from pixperts.inference.enhancer import Enhancer
    from pixperts.inference.loading import load
    from pixperts.inference.restorer import Restorer
    from pixperts.models.interfaces import EnhancingNetwork

    model = load(weights)
    found: Figures = {}
    if isinstance(model, Restorer) and isinstance(model.model, EnhancingNetwork):
        return enhanced_figures(Enhancer(model), bench / "CID22-val", limit)
    if isinstance(model, Restorer):
        for folder, tasks in REPAIRS.items():
            sets = [RestorationSet.synthetic(bench / folder, t, limit=limit) for t in tasks]
            for score in evaluate_restoration(model, sets):
                found[f"{folder} {score.task}"] = score.psnr
        return found
    if photos:
        return photo_figures(model, bench / "CID22-val", limit)
    for folder in ENLARGES:
        pictures = SuperResolutionSet.open(bench / folder)
        for at_scale in evaluate_upscaling(model, pictures, SCALES):
            found[f"{folder} x{at_scale.scale:g}"] = at_scale.psnr
    return found


def photo_figures(model: "Upscaler", folder: Path, limit: int | None) -> Figures:
    """Mean PSNR of photos that were reduced by 2 and 4 and spoiled, see `photo_cases`."""
    from pixperts.evaluation.metrics import psnr
    from pixperts.evaluation.photo_cases import photo_pair
    from pixperts.io.image import list_images
    from pixperts.ops.resize import quantize

    found: Figures = {}
    for scale in (2, 4):
        for case in PHOTO_CASES:
            scores = []
            for path in list_images(folder)[:limit]:
                lr, photo = photo_pair(path, scale, case)
                size = (photo.shape[2], photo.shape[1])
                result = quantize(model.upscale(lr, size=size))
                scores.append(psnr(result, photo, "y-shave", scale))
            found[f"CID22-val x{scale} {case}"] = sum(scores) / len(scores)
    return found


def enhanced_figures(enhancer: "Enhancer", folder: Path, limit: int | None) -> Figures:
    """Mean PSNR of photos that were reduced by 2 and 4 and degraded, see `repair_cases`."""
    from pixperts.data.image_files import read_photo
    from pixperts.evaluation.metrics import psnr
    from pixperts.evaluation.repair_cases import small_pair
    from pixperts.io.image import list_images
    from pixperts.ops.resize import quantize

    found: Figures = {}
    for scale in (2, 4):
        for case in ENHANCED_CASES:
            scores = []
            for seed, path in enumerate(list_images(folder)[:limit]):
                small, photo = small_pair(read_photo(path).float() / 255, scale, case, seed)
                result = enhancer.enhance(small, size=(photo.shape[2], photo.shape[1]))
                scores.append(min(100.0, psnr(quantize(result), photo, "rgb")))
            found[f"CID22-val x{scale} {case}"] = sum(scores) / len(scores)
    return found


def card_figures(figures: Figures) -> list[str]:
    """Names of those that go into the file: of photos as they come three, else all."""
    chosen = ["CID22-val x2 clean", "CID22-val x2 jpeg75", "CID22-val x4 jpeg75"]
    return chosen if all(name in figures for name in chosen) else list(figures)


def comparison(before: Figures | None, after: Figures) -> list[str]:
    """Lines of Markdown: before, after, difference."""
    lines = ["| benchmark | before, dB | after, dB | difference |", "|---|---|---|---|"]
    for name, value in after.items():
        old = None if before is None else before[name]
        cells = ["-", "-"] if old is None else [f"{old:.2f}", f"{value - old:+.2f}"]
        lines.append(f"| {name} | {cells[0]} | {value:.2f} | {cells[1]} |")
    return lines
