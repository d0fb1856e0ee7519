"""Make docs/gallery.md: before and after under a slider, and maps of experts.

python scripts/gallery.py                    # from the photos of examples/
python scripts/gallery.py a.jpg b.jpg --page out/gallery.md

The slider is a range input and CSS, in the page itself. Where HTML is shown without styles, as on
GitHub, the two pictures stand one below the other.
"""

import argparse
import sys
import textwrap
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import pixperts
from pixperts.degradations import degrade
from pixperts.errors import PixpertsError
from pixperts.evaluation import psnr
from pixperts.inference import draw
from pixperts.ops import bicubic, from_float, to_float

ROOT = Path(__file__).parents[1]
PHOTOS = [ROOT / f"examples/{name}.jpg" for name in ("budgie", "osprey", "circuits", "colosseum")]
PAGE = ROOT / "docs/gallery.md"
WIDTH, HEIGHT = 480, 360  # of what is shown, at most
SCALE = 3
# Each on another photo, in turn.
TASKS = {
    "noise25": "noise",
    "rain": "rain",
    "low_light": "darkness",
    "grain_jpeg": "grain, then JPEG",
}
ENLARGER, MIXTURE, REPAIRER = "moeisr-photo", "moeisr-tiny", "moce-ir-light"
HEAD = """\
# Gallery

Made by `make gallery` from the photos of [examples/](../examples/CREDITS.md). Move the sliders:
before is on the left, after on the right.

<style>
.compare { display: grid; max-width: 480px; --cut: 50%; }
.compare img { grid-area: 1 / 1; display: block; width: 100%; margin: 0; }
.compare img + img { clip-path: inset(0 0 0 var(--cut)); }
.compare input { grid-area: 2 / 1; width: 100%; }
</style>
"""
ENLARGED = """
## Enlarged {scale} times

The middle of each photo, {width} x {height} pixels: bicubic on the left,
`pixperts upscale --scale {scale}` ({enlarger}) on the right. Below each, which of the four experts
of {mixture} did which pixel, from dark (cheap) to bright (expensive). How the photo looks in
higher resolution is not known, so there is no figure.
"""
REPAIRED = """
## Repaired

Photos that were degraded by the program (**synthetic**) on the left, `pixperts restore`
({repairer}) on the right. PSNR is on all channels, against the photo before the damage.
"""
# Only where this repository's documents are: a heading, a plot that `scripts/results.py` made, the
# words for who cannot see it, and what it shows.
PLOTS = (
    (
        "Quality against work",
        "budgets.svg",
        "PSNR on Set5 against multiply-adds",
        "Each mixture is a curve: a budget chooses its point. Figures and conditions: "
        "[results](results.md).",
    ),
    (
        "Quality against seconds",
        "speed.svg",
        "PSNR of enlarged photos against processor seconds per megapixel",
        "Further up is better, further left is faster; seconds are processor time per megapixel of "
        "the result. Photos, machine and protocol: "
        "[results](results.md#beside-others-quality-against-time).",
    ),
)

Array = NDArray[np.uint8]


def middle(photo: Array, width: int, height: int) -> Array:
    """A part from the middle, or all where the photo is smaller."""
    top, left = (
        max(0, (side - room) // 2)
        for side, room in zip(photo.shape[:2], (height, width), strict=True)
    )
    return np.ascontiguousarray(photo[top : top + height, left : left + width])


def slider(before: str, after: str, alt: str) -> str:
    """The HTML of two pictures under one slider.

    >>> print(slider("a.webp", "b.webp", "a bird"))
    <div class="compare">
    <img src="a.webp" alt="a bird, before">
    <img src="b.webp" alt="a bird, after">
    <input type="range" min="0" max="100" value="50" aria-label="share of a bird, before"
     oninput="this.parentNode.style.setProperty('--cut', this.value + '%')">
    </div>
    """
    return f"""\
<div class="compare">
<img src="{before}" alt="{alt}, before">
<img src="{after}" alt="{alt}, after">
<input type="range" min="0" max="100" value="50" aria-label="share of {alt}, before"
 oninput="this.parentNode.style.setProperty('--cut', this.value + '%')">
</div>"""


class Gallery:
    """A page that grows, and its pictures in a folder beside it."""

    def __init__(self, page: Path) -> None:
        self.page, self.folder = page, page.parent / "images" / page.stem
        self.parts = [HEAD]

    def picture(self, name: str, pixels: Array) -> str:
        """Write a picture; its address for the page."""
        file = self.folder / f"{name}.webp"
        pixperts.write_image(file, pixels, quality=85)
        return file.relative_to(self.page.parent).as_posix()

    def enlargements(self, photos: dict[str, Array]) -> None:
        """Bicubic and the network, and the map of a mixture."""
        upscaler, mixture = pixperts.Upscaler.load(ENLARGER), pixperts.Upscaler.load(MIXTURE)
        width, height = WIDTH // SCALE, HEIGHT // SCALE
        words = {"scale": SCALE, "width": width, "height": height}
        self.parts.append(ENLARGED.format(**words, enlarger=ENLARGER, mixture=MIXTURE))
        for name, photo in photos.items():
            small = middle(photo, width, height)
            size = (small.shape[0] * SCALE, small.shape[1] * SCALE)
            tensor = torch.from_numpy(to_float(small)).permute(2, 0, 1)
            plain = bicubic(tensor, size).clamp(0, 1).permute(1, 2, 0).numpy()
            before = self.picture(f"{name}_bicubic", from_float(plain, np.uint8))
            after = self.picture(f"{name}_large", upscaler.upscale(small, scale=SCALE))
            _, routing = mixture.upscale_with_routing(small, scale=SCALE)
            assert routing is not None  # the mixture has several experts
            experts = self.picture(f"{name}_experts", draw(routing, legend=False))
            shares = " / ".join(f"{100 * share:.0f}" for share in routing.shares)
            self.parts.append(
                f"\n### {name}\n\n{slider(before, after, name)}\n\n"
                f"![experts of {name}]({experts})\n\n"
                f"*Experts {shares} % of the pixels, mean cost {routing.mean_cost:.2f} of the most "
                "expensive expert's.*\n"
            )

    def repairs(self, photos: dict[str, Array]) -> None:
        """Synthetic damage, and what becomes of it."""
        restorer = pixperts.Restorer.load(REPAIRER)
        self.parts.append(REPAIRED.format(repairer=REPAIRER))
        names = list(photos)
        for number, (task, words) in enumerate(TASKS.items()):
            name = names[number % len(names)]
            photo = middle(photos[name], WIDTH, HEIGHT)
            clean = torch.from_numpy(to_float(photo)).permute(2, 0, 1)
            damaged = degrade(clean, task, seed=number)
            repaired = restorer.restore(damaged)
            before, after = (
                self.picture(f"{name}_{task}_{kind}", from_float(shown, np.uint8))
                for kind, shown in (
                    ("before", damaged.permute(1, 2, 0).numpy()),
                    ("after", repaired.permute(1, 2, 0).numpy()),
                )
            )
            gain = f"{psnr(damaged, clean, 'rgb'):.1f} to {psnr(repaired, clean, 'rgb'):.1f} dB"
            shown = slider(before, after, f"{name} with {words}")
            self.parts.append(f"\n### {words}\n\n{shown}\n\n*{name}, synthetic {words}: {gain}.*\n")

    def save(self) -> None:
        """Write the page, with the plots that lie in its folder `images/results`."""
        for heading, name, alt, words in PLOTS:
            plot = self.page.parent / "images/results" / name
            if plot.exists():
                address = plot.relative_to(self.page.parent).as_posix()
                text = textwrap.fill(words, 100, break_long_words=False, break_on_hyphens=False)
                self.parts.append(f"\n## {heading}\n\n![{alt}]({address})\n\n{text}\n")
        self.page.write_text("".join(self.parts), encoding="utf-8")


def main() -> int:
    """Read, enlarge, repair, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("photos", nargs="*", type=Path, default=PHOTOS, help="default: examples")
    parser.add_argument("--page", type=Path, default=PAGE, help="default: docs/gallery.md")
    args = parser.parse_args()
    try:
        photos = {
            path.stem: np.asarray(pixperts.read_image(path).pixels[..., :3], np.uint8)
            for path in args.photos
        }
        gallery = Gallery(args.page)
        gallery.enlargements(photos)
        gallery.repairs(photos)
        gallery.save()
    except PixpertsError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{args.page}, pictures in {gallery.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
