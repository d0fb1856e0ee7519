"""The tone head: judges darkness and haze of a whole picture, by its overview and histograms.

It estimates the probability that a picture is too dark or hazy, and the parameters to undo each by
its physical law: an exposure in linear light, and scattering by the law of Koschmieder with a
transmission that varies over the picture (a coarse bilateral grid; Chen et al., SIGGRAPH 2007). It
is independent of the layers that repair detail. If it is not sure, the picture stays as it is, to
the bit, because a wrong change of a good picture is worse than none.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixperts.defaults import ToneMode
from pixperts.ops.windows import Window

FAULTS = ("dark", "hazy")
CELLS = 8  # of the grid along each side of the picture
SHADES = 4  # and in lightness
QUANTILES = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)
LOCAL_QUANTILES = (0.01, 0.1, 0.5, 0.9, 0.99)  # of each cell
LEVELS = 256  # of the histograms
SEEN = 32  # side to which the overview is brought
_BAND = 256  # rows that are mapped at a time
_BINS = 16  # shares of the histogram that the head sees
_FEATURES = 2 * (2 * len(QUANTILES) + _BINS)
# From where to where a fault is undone in part, chosen so that of 71 good photos, 30 of them dark,
# pale or foggy on purpose, none is changed. The first two are probabilities.
_DARK = (0.7, 0.85)
_HAZY = (0.45, 0.57)
# A veil leaves nothing white, by stops from the brightest twentieth of the pixels to white; fog in
# a photo that was finished as its maker wanted it reaches white, or nearly: there the head must be
# surer.
_VEILED = (0.12, 0.15)
_NEARLY_WHITE = (0.26, 0.3)
_HAZY_AND_WHITE = (0.9, 0.95)
_DEEP = (0.285, 0.31)  # mean of minus the logarithm of the transmission: thinner haze is none
# Haze hides how dark the scene behind it is: without it, darkness need not be as sure.
_LESS_DARK = 0.6
_OVER = 0.8  # stops by which the brightest pixels may pass white; a stop more, and nothing is done
_BLACK = 8.5  # stops below white: where nothing is lighter, there is nothing but noise to be seen
_FLAT = (2 / 255, 4 / 255)  # range of the levels of a picture of one color, which is no scene
_LEAST = SEEN**2  # pixels: pictures smaller than the overview say too little about a scene
_THINNEST = 0.08  # transmission; beyond that there is hardly anything left to be seen


class Tone(NamedTuple):
    """The judgment on each picture."""

    logits: Tensor  # (B, 2) of the probabilities of `FAULTS`
    stops: Tensor  # (B,) by which the exposure was too short
    gamma: Tensor  # (B,) the power that deepened the shadows
    airlight: Tensor  # (B, 3) color of the haze
    haze: Tensor  # (B, 1, SHADES, CELLS, CELLS) minus the logarithm of the transmission
    room: Tensor  # (B,) stops from the brightest pixels, but one in a thousand, to white
    veil: Tensor  # (B,) likewise, but one in twenty
    pixels: Tensor  # (B,) how many the whole picture has
    spread: Tensor  # (B,) of the levels in 0..1, without the darkest and lightest hundredth

    @property
    def probabilities(self) -> Tensor:
        """(B, 2) of `FAULTS`; 0 for pictures too small, too black or too flat for a judgment."""
        enough = (self.pixels >= _LEAST).to(self.logits.dtype) * _risen(self.spread, _FLAT)
        seen = (_BLACK - self.room).clamp(0, 1)
        return self.logits.sigmoid() * torch.stack([enough * seen, enough], dim=1)

    def amounts(self, mode: ToneMode) -> Tensor:
        """(B, 2) how much of each fault is undone, 0 to 1."""
        if mode == "off":
            return torch.zeros_like(self.logits)
        if mode == "on":
            return torch.ones_like(self.logits)
        dark, hazy = self.probabilities.unbind(dim=1)
        depth = self.haze.mean(dim=(1, 2, 3, 4))
        sure = torch.lerp(
            _risen(hazy, _HAZY_AND_WHITE), _risen(hazy, _HAZY), _risen(self.veil, _NEARLY_WHITE)
        )
        cleared = sure * _risen(self.veil, _VEILED) * _risen(depth, _DEEP)
        least = _DARK[0] - _LESS_DARK * cleared
        brightened = ((dark - least) / (_DARK[1] - _DARK[0])).clamp(0, 1)
        # A short exposure leaves nothing white: stars and lamps at night are meant to be bright.
        # Haze may be white, but what it covers is not.
        fits = (1 + _OVER + self.room - self.stops).clamp(0, 1)
        brightened = brightened * torch.maximum(fits, cleared)
        return torch.stack([brightened, cleared], dim=1)


class ToneHead(nn.Module):
    """Overview and histograms in, a `Tone` out.

    Args:
        width: channels of its layers.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [
                nn.Conv2d(4, width, 3, padding=1),
                nn.Conv2d(width, width, 3, stride=2, padding=1),
                nn.Conv2d(width, width, 3, stride=2, padding=1),  # one value for each cell
            ]
        )
        # The darkest color of a region rises with the haze before it (the dark channel prior; He
        # et al., CVPR 2009), which averages do not show.
        self.cells = nn.Conv2d(width + 4 * len(LOCAL_QUANTILES), width, 3, padding=1)
        self.around = nn.Conv2d(width, width, 3, padding=1)
        self.mix = nn.Linear(2 * width + _FEATURES, 4 * width)
        self.embed = nn.Linear(4 * width, width)
        self.faults = nn.Linear(width, len(FAULTS))
        self.curve = nn.Linear(width, 2)
        self.airlight = nn.Linear(width, 3)
        self.local = nn.Conv2d(width, width, 3, padding=1)
        self.haze = nn.Conv2d(width, SHADES, 1)
        for layer in (self.faults, self.curve, self.airlight, self.haze):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        nn.init.constant_(self.faults.bias, -5)  # a new head is sure that nothing is wrong

    def forward(self, overview: Tensor, histograms: Tensor) -> Tone:
        """Judge.

        Args:
            overview: (B, 3, h, w) in [0, 1].
            histograms: (B, 2, CELLS^2, LEVELS), of `count_levels`.
        """
        return self.judged(F.adaptive_avg_pool2d(overview.float(), SEEN), histograms)

    def judged(self, seen: Tensor, histograms: Tensor) -> Tone:
        """`forward` with the overview brought to (B, 3, 32, 32)."""
        with torch.autocast(seen.device.type, enabled=False):
            x = torch.cat([seen - 0.5, _stops(seen.amax(dim=1, keepdim=True))], dim=1)
            for layer in self.layers:
                x = F.relu(layer(x))
            x = F.relu(self.cells(torch.cat([x, _cell_features(histograms)], dim=1)))
            x = F.relu(self.around(x)) + x
            levels = histograms.sum(dim=2)  # (B, 2, LEVELS) of the whole
            pooled = torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3)), _features(levels)], 1)
            whole = F.relu(self.embed(F.relu(self.mix(pooled))))  # (B, W)
            curve = self.curve(whole)
            local = F.relu(self.local(x) + whole[:, :, None, None])
            return Tone(
                logits=self.faults(whole),
                stops=F.softplus(4 * curve[:, 0] + 1),
                gamma=(0.5 * torch.tanh(curve[:, 1])).exp(),
                airlight=0.5 + 0.5 * torch.sigmoid(4 * self.airlight(whole) + 1),
                haze=F.softplus(4 * self.haze(local) - 1)[:, None],
                room=_stops_to_white(levels, 0.999),
                veil=_stops_to_white(levels, 0.95),
                pixels=levels[:, 0].sum(dim=1),
                spread=_quantiles(levels, (0.01, 0.99)).diff(dim=2).amax(dim=(1, 2)),
            )

    def apply_to(
        self,
        image: Tensor,
        tone: Tone,
        amounts: Tensor,
        place: tuple[int, int] = (0, 0),
        whole: tuple[int, int] | None = None,
    ) -> Tensor:
        """Undo the haze, then the darkness, of a picture or a tile of it.

        Args:
            image: (B, 3, H, W).
            tone: of `forward`.
            amounts: (B, 2) how much of each of `FAULTS`.
            place: (top, left) of the tile in the whole picture.
            whole: (height, width) of that; None = the image is all of it.
        """
        if not bool(amounts.any()):
            return image
        height, width = image.shape[2:]
        tall, wide = whole or (height, width)
        bands = []
        for top in range(0, height, _BAND):
            window = Window(top, min(top + _BAND, height), 0, width)
            colors = image[:, :, window.top : window.bottom].float()
            rows = (torch.arange(*window[:2], device=image.device) + place[0] + 0.5) / tall
            columns = (torch.arange(width, device=image.device) + place[1] + 0.5) / wide
            mapped = brightened(_cleared(colors, tone, amounts[:, 1], rows, columns), tone, amounts)
            bands.append(mapped.to(image.dtype))
        return torch.cat(bands, dim=2)


def _cleared(colors: Tensor, tone: Tone, amount: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """J = (I - A) / t + A, the haze's law solved for the scene."""
    light = colors.detach().mean(dim=1).clamp(0, 1)  # (B, h, W)
    where = torch.stack(
        [
            (2 * columns - 1)[None, None, :].expand_as(light),
            (2 * rows - 1)[None, :, None].expand_as(light),
            2 * light - 1,
        ],
        dim=-1,
    )
    depth = F.grid_sample(tone.haze, where[:, None], padding_mode="border", align_corners=False)[
        :, :, 0
    ]  # (B, 1, h, W)
    return without_haze(colors, depth, tone, amount)


def without_haze(colors: Tensor, depth: Tensor, tone: Tone, amount: Tensor) -> Tensor:
    """(B, 3, h, W) by the depth of the haze (B, 1, h, W) and how much of it is undone (B,)."""
    through = (-depth * amount[:, None, None, None]).exp().clamp_min(_THINNEST)
    airlight = tone.airlight[:, :, None, None]
    return (colors - airlight) / through + airlight


def brightened(colors: Tensor, tone: Tone, amounts: Tensor) -> Tensor:
    """x = (L 2^s)^(1/g) in linear light, the short exposure's law solved for the scene."""
    amount = amounts[:, 0]
    factor = (tone.stops * amount).exp2()[:, None, None, None]
    power = (1 / tone.gamma) ** amount
    light = (to_light(colors) * factor).clamp_min(1e-6) ** power[:, None, None, None]
    result = to_srgb(light)
    # Colors of a picture that is light enough do not go through the curves and back.
    return torch.where(amount[:, None, None, None] > 0, result, colors)


def count_levels(
    pixels: Tensor, place: tuple[int, int] = (0, 0), whole: tuple[int, int] | None = None
) -> Tensor:
    """(B, 2, CELLS^2, LEVELS): how often each level is the largest or smallest color of a pixel.

    Counted in each cell of the whole picture, so that the sum over tiles is the whole's.

    Args:
        pixels: (B, 3, H, W) in [0, 1].
        place: (top, left) of the pixels in the whole picture.
        whole: (height, width) of that; None = the pixels are all of it.
    """
    batch, _, height, width = pixels.shape
    tall, wide = whole or (height, width)
    red, green, blue = pixels.unbind(dim=1)  # three times as fast as reducing over a short axis
    most = torch.maximum(torch.maximum(red, green), blue)
    least = torch.minimum(torch.minimum(red, green), blue)
    both = torch.stack([most, least], dim=1)  # (B, 2, H, W)
    both = (both.clamp(0, 1) * (LEVELS - 1)).round().long()
    device = pixels.device
    rows = (torch.arange(height, device=device) + place[0]) * CELLS // tall
    columns = (torch.arange(width, device=device) + place[1]) * CELLS // wide
    cell = CELLS * rows[:, None] + columns  # (H, W)
    first = CELLS**2 * torch.arange(2 * batch, device=device).view(batch, 2, 1, 1)
    places = (both + LEVELS * (first + cell)).flatten()
    counts = torch.bincount(places, minlength=2 * batch * CELLS**2 * LEVELS)
    return counts.view(batch, 2, CELLS**2, LEVELS).to(pixels.dtype)


def _features(levels: Tensor) -> Tensor:
    """(B, F) of (B, 2, LEVELS): quantiles, as they are and in stops, and how levels are spread."""
    values = _quantiles(levels, QUANTILES)
    shares = levels / levels.sum(dim=2, keepdim=True).clamp_min(1)
    spread = shares.unflatten(2, (_BINS, LEVELS // _BINS)).sum(dim=3).sqrt()
    return torch.cat([values - 0.5, _stops(values), spread], dim=2).flatten(1)


def _cell_features(histograms: Tensor) -> Tensor:
    """(B, C, CELLS, CELLS): quantiles of each cell, as they are and in stops."""
    # Pictures of a few pixels leave cells empty: there the whole stands for them.
    empty = histograms.sum(dim=3, keepdim=True) == 0
    filled = torch.where(empty, histograms.sum(dim=2, keepdim=True), histograms)
    values = _quantiles(filled, LOCAL_QUANTILES)  # (B, 2, CELLS^2, Q)
    both = torch.cat([values - 0.5, _stops(values)], dim=3)
    maps: Tensor = both.transpose(2, 3).flatten(1, 2).unflatten(2, (CELLS, CELLS))
    return maps


def _stops_to_white(levels: Tensor, share: float) -> Tensor:
    """(B,) from the level that this share of the pixels' largest colors does not pass."""
    return -(to_light(_quantiles(levels, (share,))[:, 0, 0]) + 2**-12).log2()


def _risen(value: Tensor, span: tuple[float, float]) -> Tensor:
    """0 up to the first of two values, 1 from the second on."""
    return ((value - span[0]) / (span[1] - span[0])).clamp(0, 1)


def _quantiles(levels: Tensor, shares: tuple[float, ...]) -> Tensor:
    """(..., Q) of (..., LEVELS): levels in [0, 1] that these shares of the pixels do not pass."""
    below = levels.cumsum(dim=-1) / levels.sum(dim=-1, keepdim=True).clamp_min(1)
    wanted = torch.tensor(shares, device=levels.device).expand(*levels.shape[:-1], -1)
    # As `searchsorted`, in operations that graphs for other programs have.
    found = (below[..., None, :] < wanted[..., None]).sum(dim=-1)
    return found.clamp_max(LEVELS - 1) / (LEVELS - 1)


def _stops(values: Tensor) -> Tensor:
    """Light below white in stops, scaled to about 1."""
    return (to_light(values) + 2**-10).log2() / 5 + 1


def to_light(values: Tensor) -> Tensor:
    """The sRGB curve undone (IEC 61966-2-1), on beyond white."""
    curve = ((values.clamp_min(0) + 0.055) / 1.055) ** 2.4
    return torch.where(values <= 0.04045, values / 12.92, curve)


def to_srgb(light: Tensor) -> Tensor:
    """The sRGB curve of light, on beyond white."""
    curve = 1.055 * light.clamp_min(1e-6) ** (1 / 2.4) - 0.055
    return torch.where(light <= 0.0031308, light * 12.92, curve)
