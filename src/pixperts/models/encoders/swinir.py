"""SwinIR without its upsampler, as an encoder (Liang et al., ICCV Workshops 2021).

The feature extractor of the SwinIR rows of LTE (arXiv 2111.08918): one convolution, residual
groups of Swin transformer layers (Liu et al., ICCV 2021), one more convolution, a long skip, and
a last convolution with a leaky ReLU. Unlike the stand-alone SwinIR it subtracts no mean color.
State-dict keys follow the published layout, without the two buffers `relative_position_index` and
`attn_mask`, which are computed here.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixperts.errors import ModelError
from pixperts.models.bounds import check_integer

# Far below every logit, yet finite, as published: softmax gives such pairs a weight of zero.
MASKED = -100.0


@dataclass(frozen=True)
class SwinIRConfig:
    """Size of the encoder; the defaults are the classical super-resolution model.

    Raises:
        ModelError: a size is out of range, or width is no multiple of heads.
    """

    channels: int = 64  # of the output
    width: int = 180  # features inside the transformer
    groups: int = 6  # residual groups (RSTB)
    layers: int = 6  # transformer layers a group; every second one shifts its windows
    heads: int = 6  # attention heads
    window: int = 8  # side of an attention window, LR pixels
    mlp_ratio: float = 2.0  # hidden features of the MLP over width
    drop_path: float = 0.1  # chance, in training, of skipping the last residual branch

    def __post_init__(self) -> None:
        """Refuse what cannot be built, by name."""
        highest = {"channels": 4096, "width": 4096, "groups": 64, "layers": 64, "heads": 4096}
        for name, high in highest.items():
            check_integer("SwinIR", name, getattr(self, name), 1, high)
        check_integer("SwinIR", "window", self.window, 2, 64)
        if self.width % self.heads:
            raise ModelError(f"SwinIR's width {self.width} is no multiple of heads {self.heads}.")
        if not 1 <= self.width * self.mlp_ratio <= 65536:
            raise ModelError(f"SwinIR's mlp_ratio {self.mlp_ratio} leaves the MLP no usable width.")
        if not 0.0 <= self.drop_path < 1.0:
            raise ModelError(f"SwinIR's drop_path is {self.drop_path}, but must be in [0, 1).")


def reflect_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Extend (B, C, H, W) by reflection at the bottom and right to multiples of a number.

    The edge row is not repeated. If a side is shorter than the missing part, it is reflected
    several times; a single row is repeated.

    Example:
        >>> reflect_to_multiple(torch.tensor([[[[0.0, 1.0, 2.0]]]]), 8)[0, 0, 1].tolist()
        [0.0, 1.0, 2.0, 1.0, 0.0, 1.0, 2.0, 1.0]
    """
    for dim in (-2, -1):
        last = x.shape[dim] - 1
        index = torch.arange((last + multiple) // multiple * multiple, device=x.device)
        # No remainder and no branch on the size, so that an exported graph fits all sizes. Each
        # turn takes two sides off what lies beyond.
        for _ in range(multiple // 2):
            index = (last - (last - index).abs()).abs()
        x = x.index_select(dim, index.clamp(0, last))
    return x


def relative_position_index(window: int) -> Tensor:
    """(N, N) row of the bias table for each query and key of a window of N = window ** 2 pixels.

    Row (dy + window - 1) * (2 * window - 1) + dx + window - 1, where (dy, dx) = query - key.
    Layers of one window share the tensor.

    Example:
        >>> relative_position_index(2)[0].tolist()  # the query at the top left
        [4, 3, 1, 0]
    """
    return _relative_position_index(window, torch.get_default_device())


@lru_cache(maxsize=4)
def _relative_position_index(window: int, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        pixel = torch.arange(window * window, device=device)
        y, x = pixel // window, pixel % window
        dy = y[:, None] - y + window - 1
        dx = x[:, None] - x + window - 1
        return dy * (2 * window - 1) + dx


def shift_mask(batch: int, rows: int, columns: int, window: int, device: torch.device) -> Tensor:
    """(B * rows * columns, 1, N, N) addend of the logits of shifted windows: 0, or MASKED.

    After the cyclic shift only the last row and column of windows hold pixels from opposite
    borders of the image, so four kinds of window exist.
    """
    wrapped = torch.arange(window, device=device) >= window - window // 2
    y = wrapped.repeat_interleave(window)  # (N,)
    x = wrapped.repeat(window)  # (N,)
    across_y, across_x = y[:, None] != y, x[:, None] != x  # (N, N)
    kinds = torch.stack((torch.zeros_like(across_y), across_x, across_y, across_y | across_x))
    last_row = torch.arange(rows, device=device) == rows - 1
    last_column = torch.arange(columns, device=device) == columns - 1
    kind = 2 * last_row[:, None].long() + last_column.long()  # (rows, columns)
    addends = torch.zeros(kinds.shape, device=device).masked_fill_(kinds, MASKED)
    return addends[kind.flatten().repeat(batch)][:, None]


class DropPath(nn.Module):
    """Zeroes a residual branch of a sample with chance p in training (Huang et al., ECCV 2016)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) -> (B, ...), scaled so that the mean stays."""
        if not self.training or self.p == 0.0:
            return x
        keep = torch.rand(x.shape[0], *[1] * (x.ndim - 1), device=x.device) >= self.p
        return x * (keep.to(x.dtype) / (1.0 - self.p))


class WindowAttention(nn.Module):
    """Multi-head self-attention inside each window, with a learned bias a relative position."""

    relative_position_index: Tensor

    def __init__(self, config: SwinIRConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.relative_position_bias_table = nn.Parameter(
            torch.empty((2 * config.window - 1) ** 2, config.heads)
        )
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        index = relative_position_index(config.window)
        self.register_buffer("relative_position_index", index, persistent=False)
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.proj = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(M, N, C) pixels of M windows, (M, 1, N, N) mask -> (M, N, C)."""
        M, N, C = x.shape
        # (M, N, 3 * C) -> 3 x (M, heads, N, C / heads)
        qkv = self.qkv(x).view(M, N, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        # (N, N, heads) -> (1, heads, N, N)
        bias = self.relative_position_bias_table[self.relative_position_index]
        bias = bias.permute(2, 0, 1)[None]
        if mask is not None:
            bias = bias + mask
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        x = self.proj(x.transpose(1, 2).reshape(M, N, C))
        return x


class MLP(nn.Module):
    """Two linear layers with a GELU between, on each pixel."""

    def __init__(self, config: SwinIRConfig) -> None:
        super().__init__()
        hidden = int(config.width * config.mlp_ratio)
        self.fc1 = nn.Linear(config.width, hidden)
        self.fc2 = nn.Linear(hidden, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        x = self.fc2(F.gelu(self.fc1(x)))
        return x


class SwinLayer(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)) (SwinIR, section 3.2)."""

    def __init__(self, config: SwinIRConfig, shifted: bool, drop_path: float) -> None:
        super().__init__()
        self.window = config.window
        self.shift = config.window // 2 if shifted else 0
        self.norm1 = nn.LayerNorm(config.width)
        self.attn = WindowAttention(config)
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(config.width)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, H, W, C), sides that window divides, and `shift_mask` -> (B, H, W, C)."""
        B, H, W, C = x.shape
        w, s = self.window, self.shift
        windows = self.norm1(x)
        if s:
            windows = windows.roll((-s, -s), (1, 2))
        # (B, H, W, C) -> (B * H / w * W / w, w * w, C)
        windows = windows.view(B, H // w, w, W // w, w, C).transpose(2, 3).reshape(-1, w * w, C)
        windows = self.attn(windows, mask if s else None)
        # and back to (B, H, W, C)
        branch = windows.view(B, H // w, W // w, w, w, C).transpose(2, 3).reshape(B, H, W, C)
        if s:
            branch = branch.roll((s, s), (1, 2))
        x = x + self.drop_path(branch)
        x = x + self.drop_path(self.mlp(self.norm2(x)))
        return x


class SwinLayers(nn.Module):
    """The transformer layers of a group, windows plain and shifted in turn."""

    def __init__(self, config: SwinIRConfig, drop_paths: list[float]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            SwinLayer(config, i % 2 == 1, p) for i, p in enumerate(drop_paths)
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        for block in self.blocks:
            x = block(x, mask)
        return x


class ResidualGroup(nn.Module):
    """x + conv(layers(x)): a residual Swin transformer block, RSTB (SwinIR, section 3.2)."""

    def __init__(self, config: SwinIRConfig, drop_paths: list[float]) -> None:
        super().__init__()
        self.residual_group = SwinLayers(config, drop_paths)
        self.conv = nn.Conv2d(config.width, config.width, 3, padding=1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        residual: Tensor = self.residual_group(x, mask)
        residual = self.conv(residual.permute(0, 3, 1, 2))  # (B, C, H, W)
        return x + residual.permute(0, 2, 3, 1)


class PatchEmbedding(nn.Module):
    """The norm before the first group; a patch is one pixel, so nothing else is embedded."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, H, W, C)."""
        x = self.norm(x.permute(0, 2, 3, 1))
        return x


class SwinIR(nn.Module):
    """LR image to features: (B, 3, H, W) in [-1, 1] -> (B, channels, H, W), any size.

    Sides that `window` does not divide are continued by reflection inside, and cropped after.
    Windows lie on a grid from the top left pixel: features of a crop equal those of the whole
    image only where the crop starts at multiples of `size_multiple` and `receptive_radius`
    pixels away from its cuts.

    Example:
        >>> SwinIR(SwinIRConfig()).multiply_adds_per_pixel()  # about 12 million
        12310380.0
    """

    def __init__(self, config: SwinIRConfig) -> None:
        super().__init__()
        width, total = config.width, config.groups * config.layers
        self.config = config
        self.out_channels = config.channels
        self.size_multiple = config.window
        self.receptive_radius = reach(config)
        # Stochastic depth rises from none at the first layer to the full rate at the last.
        rates = [config.drop_path * i / max(total - 1, 1) for i in range(total)]
        groups = [rates[i : i + config.layers] for i in range(0, total, config.layers)]
        self.conv_first = nn.Conv2d(3, width, 3, padding=1)
        self.patch_embed = PatchEmbedding(width)
        self.layers = nn.ModuleList(ResidualGroup(config, group) for group in groups)
        self.norm = nn.LayerNorm(width)
        self.conv_after_body = nn.Conv2d(width, width, 3, padding=1)
        self.conv_before_upsample = nn.Sequential(
            nn.Conv2d(width, config.channels, 3, padding=1), nn.LeakyReLU(inplace=True)
        )
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, C, H, W)."""
        B, _, H, W = x.shape
        w = self.config.window
        x = self.conv_first(reflect_to_multiple(x, w))
        mask = shift_mask(B, x.shape[2] // w, x.shape[3] // w, w, x.device)
        features: Tensor = self.patch_embed(x)  # (B, H', W', C), sides padded
        for group in self.layers:
            features = group(features, mask)
        features = self.norm(features).permute(0, 3, 1, 2)  # (B, C, H', W')
        features = self.conv_before_upsample(self.conv_after_body(features) + x)
        return features[:, :, :H, :W]

    def multiply_adds_per_pixel(self) -> float:
        """Multiply-adds an LR pixel: weights once, and the two products of attention.

        Each pixel's query meets the window ** 2 keys of its window, and their values.
        Exact where `size_multiple` divides the sides; otherwise the padding comes on top.
        """
        weights = sum(
            m.weight.numel() for m in self.modules() if isinstance(m, nn.Conv2d | nn.Linear)
        )
        attentions = self.config.groups * self.config.layers
        return float(weights + attentions * 2 * self.config.window**2 * self.config.width)


def reach(config: SwinIRConfig) -> int:
    """How many LR pixels a feature depends on on each side, at most over all pixels of a window.

    Followed backwards along one axis: a 3x3 convolution widens the interval by one on each side,
    attention to the borders of the windows that hold its ends.

    Example:
        >>> reach(SwinIRConfig(groups=1, layers=1))  # 3 convs, the rest of a window, 1 conv
        11
    """
    w = config.window
    radius = 0
    for start in range(w):
        # Backwards from a feature: the two convolutions after the body, the groups, conv_first.
        low, high = start - 2, start + 2
        for _ in range(config.groups):
            low, high = low - 1, high + 1
            for layer in reversed(range(config.layers)):
                shift = w // 2 if layer % 2 else 0
                low = (low - shift) // w * w + shift
                high = (high - shift) // w * w + shift + w - 1
        radius = max(radius, start - low + 1, high + 1 - start)
    return radius
