"""The parts of the transformer blocks of MoCE-IR (arXiv 2411.18466), except for the experts.

Transposed channel attention and the gated depthwise feed-forward come from Restormer (Zamir et
al., CVPR 2022, arXiv 2111.09881). Every map is (B, C, H, W) in channels_last memory: the norm
and the 1x1 convolutions then work on rows of C numbers without a copy.
"""

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixperts.models.moce_ir.bands import bands, empty_like_map, in_bands
from pixperts.models.moce_ir.statistics import Census, Sums


def channels_last(x: Tensor) -> Tensor:
    """A map (B, C, H, W) in channels_last memory; no copy if it is so already."""
    return x.contiguous(memory_format=torch.channels_last)


class Pointwise(nn.Conv2d):
    """A 1x1 convolution, run as a matrix product over the rows of a channels_last map."""

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool) -> None:
        super().__init__(in_channels, out_channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, H, W)."""
        rows = x.permute(0, 2, 3, 1)  # (B, H, W, C)
        return F.linear(rows, self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


def joining(channels: int) -> Pointwise:
    """The layer that joins a map of the encoder to that of the decoder: 2C -> C channels.

    Before training, it adds the two halves of its input. Training is faster from there than from
    random weights: +0.36 dB after 600 steps (LAB.md).

    Example:
        >>> joining(1)(torch.tensor([[[[2.0]], [[3.0]]]]))
        tensor([[[[5.]]]], grad_fn=<PermuteBackward0>)
    """
    layer = Pointwise(2 * channels, channels, bias=False)
    with torch.no_grad():
        layer.weight.zero_()  # (C, 2C, 1, 1)
        for first in (0, channels):  # not `torch.eye`: on the meta device it loads torch._dynamo
            layer.weight[:, first : first + channels, 0, 0].fill_diagonal_(1.0)
    return layer


def depthwise(channels: int, size: int, *, bias: bool) -> nn.Conv2d:
    """A depthwise convolution of odd `size`, zero-padded: it keeps height and width."""
    return nn.Conv2d(channels, channels, size, padding=size // 2, groups=channels, bias=bias)


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each pixel, with weight and bias."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        normed: Tensor = self.body(x.permute(0, 2, 3, 1))
        return normed.permute(0, 3, 1, 2)


def attend(
    project: Callable[..., tuple[Tensor, Tensor, Tensor]],
    maps: tuple[Tensor, ...],
    halo: int,
    temperature: Tensor,
    output: Pointwise,
    census: Census | None = None,
) -> Tensor:
    """Transposed attention: every channel attends to the channels of its head.

    output(softmax(temperature * q^ k^T) v), where q^ and k^ are q and k with each channel scaled
    to unit length over the picture (Restormer, equation 1). Scaling and the 1x1 convolution
    `output` are linear. So both are applied to the small C x C matrix, not to the maps.

    Args:
        project: makes q, k and v, (B, C, h, W) each, from the maps or from bands of their rows.
        maps: (B, C, H, W) each.
        halo: number of rows above and below a pixel that `project` reads for it.
        temperature: (heads, 1, 1), a factor of the scores of each head.
        output: the 1x1 convolution after the attention, C -> D channels.
        census: records the sums over the picture, or holds given ones if this is a tile of it;
            None: the sums of these maps are used and not recorded.

    Returns:
        (B, D, H, W).
    """
    height, heads = maps[0].shape[2], len(temperature)
    counted: Sums | None = None
    v: Tensor | None = None
    for band in bands(maps[0], halo):
        q, k, part = map(band.core, project(*map(band.cut, maps)))
        if band.bottom - band.top == height:
            v = part
        else:
            v = empty_like_map(part, height) if v is None else v
            v[:, :, band.top : band.bottom] = part
        if census is None or census.counts:
            if census is not None:
                q, k = (census.inner(x, band.top, height) for x in (q, k))
            sums = _products(q, k, heads)
            counted = sums if counted is None else tuple(map(torch.add, counted, sums))
    assert v is not None
    sums = counted or () if census is None else census.sums(lambda: counted or ())
    products, *squares = sums
    lengths = [square.clamp_min(1e-24).sqrt() for square in squares]
    scores = products / lengths[0][..., :, None] / lengths[1][..., None, :]
    weights = (scores * temperature.float()).softmax(dim=-1).to(v.dtype)  # (1 or B, heads, c, c)
    batch, channels, _, width = v.shape
    # output @ blockdiag(weights): (D, heads, c) times (B, heads, c, c).
    split = output.weight.to(v.dtype).view(-1, heads, channels // heads).transpose(0, 1)
    merged = (split @ weights).permute(0, 1, 3, 2)
    mixed = merged.reshape(weights.shape[0], channels, -1)  # (B, C, D)
    rows = v.permute(0, 2, 3, 1).reshape(batch, height * width, channels)
    out: Tensor = rows @ mixed
    if output.bias is not None:
        out = out + output.bias.to(out.dtype)
    return out.view(batch, height, width, -1).permute(0, 3, 1, 2)


def _products(q: Tensor, k: Tensor, heads: int) -> Sums:
    """Sums over all pixels: q k^T of each head, and the squares of the channels of q and of k.

    Returns:
        (B, heads, c, c), (B, heads, c) and (B, heads, c) in float32, for c channels per head.
    """

    def by_head(x: Tensor) -> Tensor:  # (B, H W, heads, c)
        rows = x.permute(0, 2, 3, 1)
        return rows.reshape(x.shape[0], rows.shape[1] * rows.shape[2], heads, x.shape[1] // heads)

    # Sums over a whole picture can exceed the range of half precision.
    with torch.autocast(q.device.type, enabled=False):
        q_rows, k_rows = by_head(q).float(), by_head(k).float()
        products = q_rows.permute(0, 2, 3, 1) @ k_rows.transpose(1, 2)  # (B, heads, c, c)
        # A plain sum of squares: `torch.linalg.vector_norm` is slow across rows.
        squares = [rows.square().sum(dim=1) for rows in (q_rows, k_rows)]  # (B, heads, c)
    return products, squares[0], squares[1]


class ChannelAttention(nn.Module):
    """Self-attention across channels; 1x1 and 3x3 depthwise convolutions make q, k and v.

    Args:
        channels: of the map, C.
        heads: a divisor of `channels`.
        bias: whether the convolutions have biases.
    """

    def __init__(self, channels: int, heads: int, *, bias: bool) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = Pointwise(channels, 3 * channels, bias=bias)
        self.qkv_dwconv = depthwise(3 * channels, 3, bias=bias)
        self.project_out = Pointwise(channels, channels, bias=bias)

    def forward(
        self,
        x: Tensor,
        census: Census | None = None,
        before: Callable[[Tensor], Tensor] = lambda part: part,
    ) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W).

        Args:
            x: the map.
            census: see `attend`.
            before: applied to x first; it maps each pixel by itself, such as a norm.
        """

        def project(part: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            q, k, v = self.qkv_dwconv(self.qkv(before(part))).chunk(3, dim=1)
            return q, k, v

        return attend(project, (x,), 1, self.temperature, self.project_out, census)


class CrossChannelAttention(nn.Module):
    """Attention of the channels of one map to those of another.

    1x1 convolutions make q, k and v, followed by depthwise ones: 3x3 for q, 7x7 for k and v.

    Args:
        channels: of both maps, C.
        heads: a divisor of `channels`.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.q = Pointwise(channels, channels, bias=False)
        self.q_dwconv = depthwise(channels, 3, bias=False)
        self.kv = Pointwise(channels, 2 * channels, bias=False)
        self.kv_dwconv = depthwise(2 * channels, 7, bias=False)
        self.project_out = Pointwise(channels, channels, bias=False)

    def forward(self, x: Tensor, context: Tensor, census: Census | None = None) -> Tensor:
        """Queries from x, keys and values from context, (B, C, H, W) each -> (B, C, H, W)."""

        def project(part: Tensor, other: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            k, v = self.kv_dwconv(self.kv(other)).chunk(2, dim=1)
            return self.q_dwconv(self.q(part)), k, v

        return attend(project, (x, context), 3, self.temperature, self.project_out, census)


class FeedForward(nn.Module):
    """Gated depthwise feed-forward: project_out(gelu(a) * b).

    A 1x1 and a 3x3 depthwise convolution make a and b.

    Args:
        channels: of the map, C.
        expansion: channels of a and of b, relative to C.
        bias: whether the convolutions have biases.
    """

    def __init__(self, channels: int, expansion: float, *, bias: bool) -> None:
        super().__init__()
        hidden = int(channels * expansion)
        self.project_in = Pointwise(channels, 2 * hidden, bias=bias)
        self.dwconv = depthwise(2 * hidden, 3, bias=bias)
        self.project_out = Pointwise(hidden, channels, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        a, b = self.dwconv(self.project_in(x)).chunk(2, dim=1)
        return cast(Tensor, self.project_out(F.gelu(a) * b))


class EncoderBlock(nn.Module):
    """x + attention(norm(x)), then x + feed_forward(norm(x)); its convolutions have biases."""

    def __init__(self, channels: int, heads: int, expansion: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList(ChannelNorm(channels) for _ in range(2))
        self.mixer = ChannelAttention(channels, heads, bias=True)
        self.ffn = FeedForward(channels, expansion, bias=True)

    def forward(self, x: Tensor, census: Census | None = None) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        x = x + self.mixer(x, census, self.norms[0])
        return in_bands(lambda part: part + self.ffn(self.norms[1](part)), x, halo=1)


class Stage(nn.Module):
    """Encoder blocks at one resolution."""

    def __init__(self, channels: int, heads: int, expansion: float, blocks: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderBlock(channels, heads, expansion) for _ in range(blocks))

    def forward(self, x: Tensor, census: Census | None = None) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        for layer in self.layers:
            x = layer(x, census)
        return x


class Downsample(nn.Module):
    """Half the size, twice the channels: a 3x3 convolution to C / 2, then pixel-unshuffle."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        convolution = nn.Conv2d(channels, channels // 2, 3, padding=1, bias=False)
        self.body = nn.Sequential(convolution, nn.PixelUnshuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), C, H and W even -> (B, 2 C, H / 2, W / 2)."""
        return channels_last(self.body(x))


class Upsample(nn.Module):
    """Twice the size, half the channels: a 3x3 convolution to 2 C, then pixel-shuffle."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        convolution = nn.Conv2d(channels, 2 * channels, 3, padding=1, bias=False)
        self.body = nn.Sequential(convolution, nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), C even -> (B, C / 2, 2 H, 2 W)."""
        return channels_last(self.body(x))


def multiply_adds_per_pixel(module: nn.Module) -> float:
    """Multiply-adds per pixel of a module that keeps height and width.

    Counted are the weights of every convolution, and C^2 / heads for the scores of each attention.
    The second product of the attention is merged with the 1x1 convolution after it, so it is
    counted there.
    """
    total = 0.0
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            total += part.weight.numel()
        elif isinstance(part, ChannelAttention | CrossChannelAttention):
            total += part.project_out.in_channels**2 / len(part.temperature)
    return total
