"""MoCE-IR written the way its paper states it: the peer of `restore.py` and an oracle of tests.

arXiv 2411.18466 on the blocks of Restormer (arXiv 2111.09881) and the Fourier attention of
FFTformer (arXiv 2211.12250): NCHW maps, 1x1 convolutions as convolutions, the layer norm by hand
on pixel rows, queries and keys normalized before the attention, the values multiplied by it, and
only then the output's 1x1. The state dict of our `MoCEIR` loads as it is.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixperts.models.moce_ir.config import MoCEIRConfig


def conv(channels: int, out: int, size: int = 1, *, bias: bool = False) -> nn.Conv2d:
    return nn.Conv2d(channels, out, size, padding=size // 2, bias=bias)


def depthwise(channels: int, size: int, *, bias: bool) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, size, padding=size // 2, groups=channels, bias=bias)


class Norm(nn.Module):
    """Layer norm over channels with weight and bias, as Restormer writes it out."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.LayerNorm(channels)  # holds the weight and the bias

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(2).mT  # (B, H W, C)
        mean = rows.mean(-1, keepdim=True)
        variance = rows.var(-1, keepdim=True, unbiased=False)
        normed = (rows - mean) / torch.sqrt(variance + 1e-5) * self.body.weight + self.body.bias
        return normed.mT.reshape(x.shape)


def attend(q: Tensor, k: Tensor, v: Tensor, temperature: Tensor) -> Tensor:
    """softmax(temperature * q k^T) v across the channels of each head, (B, C, H, W) each."""
    q, k, value = (x.unflatten(1, (len(temperature), -1)).flatten(3) for x in (q, k, v))
    q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)  # (B, heads, c, H W)
    weights = (q @ k.mT * temperature).softmax(dim=-1)
    out: Tensor = weights @ value
    return out.reshape(v.shape)


class ChannelAttention(nn.Module):
    def __init__(self, channels: int, heads: int, *, bias: bool) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = conv(channels, 3 * channels, bias=bias)
        self.qkv_dwconv = depthwise(3 * channels, 3, bias=bias)
        self.project_out = conv(channels, channels, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv_dwconv(self.qkv(x)).chunk(3, dim=1)
        out: Tensor = self.project_out(attend(q, k, v, self.temperature))
        return out


class CrossChannelAttention(nn.Module):
    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.q, self.q_dwconv = conv(channels, channels), depthwise(channels, 3, bias=False)
        self.kv = conv(channels, 2 * channels)
        self.kv_dwconv = depthwise(2 * channels, 7, bias=False)
        self.project_out = conv(channels, channels)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        k, v = self.kv_dwconv(self.kv(context)).chunk(2, dim=1)
        attended = attend(self.q_dwconv(self.q(x)), k, v, self.temperature)
        out: Tensor = self.project_out(attended)
        return out


class FeedForward(nn.Module):
    def __init__(self, channels: int, expansion: float, *, bias: bool) -> None:
        super().__init__()
        hidden = int(channels * expansion)
        self.project_in = conv(channels, 2 * hidden, bias=bias)
        self.dwconv = depthwise(2 * hidden, 3, bias=bias)
        self.project_out = conv(hidden, channels, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.dwconv(self.project_in(x)).chunk(2, dim=1)
        out: Tensor = self.project_out(F.gelu(a) * b)
        return out


class FourierAttention(nn.Module):
    def __init__(self, channels: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.q, self.q_dwconv = conv(channels, channels), depthwise(channels, 3, bias=True)
        self.kv = conv(channels, 2 * channels)
        self.kv_dwconv = depthwise(2 * channels, 7, bias=True)
        self.norm = Norm(channels)
        self.proj_out = conv(channels, channels, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        side, (height, width) = self.window, x.shape[2:]
        q = self.windows(self.q_dwconv(self.q(x)))
        k, v = self.kv_dwconv(self.kv(x)).chunk(2, dim=1)
        spectrum = torch.fft.rfft2(q) * torch.fft.rfft2(self.windows(k))
        product = torch.fft.irfft2(spectrum, s=(side, side))  # (B, C, rows, columns, w, w)
        whole = product.transpose(3, 4).flatten(4, 5).flatten(2, 3)[:, :, :height, :width]
        out: Tensor = self.proj_out(self.norm(whole) * v)
        return out

    def windows(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, rows, columns, w, w), zeros at the right and bottom edge."""
        side = self.window
        x = F.pad(x, (0, -x.shape[3] % side, 0, -x.shape[2] % side))
        batch, channels, height, width = x.shape
        cut = x.view(batch, channels, height // side, side, width // side, side)
        return cut.transpose(3, 4)


class Expert(nn.Module):
    def __init__(self, channels: int, rank: int, window: int) -> None:
        super().__init__()
        self.proj = nn.ModuleList(
            [conv(channels, rank), conv(channels, rank), conv(rank, channels)]
        )
        self.body = FourierAttention(rank, window)

    def forward(self, x: Tensor, shared: Tensor) -> Tensor:
        attended = self.body(self.proj[0](x)) * F.silu(self.proj[1](shared))
        out: Tensor = self.proj[2](attended) + x
        return out


class Mixture(nn.Module):
    """Each picture goes to its top-k experts; `dense` runs all on all and masks."""

    def __init__(self, config: MoCEIRConfig, level: int, *, dense: bool) -> None:
        super().__init__()
        channels = config.channels(level)
        self.top_k, self.dense = config.top_k, dense
        self.experts = nn.ModuleList(
            nn.ModuleList(Expert(channels, rank, window) for _ in range(config.expert_depth))
            for rank, window in zip(config.ranks(level), config.windows, strict=True)
        )
        self.proj_out = conv(channels, channels)
        self.routing = nn.ModuleDict(
            {
                "gate": nn.Linear(channels, len(self.experts), bias=False),
                "freq_gate": nn.Linear(config.channels(3), len(self.experts), bias=False),
            }
        )

    def forward(self, x: Tensor, shared: Tensor, embedding: Tensor) -> Tensor:
        logits = self.routing["gate"](x.mean((2, 3))) + self.routing["freq_gate"](embedding)
        gates, chosen = logits.softmax(dim=-1).topk(self.top_k, dim=-1)  # (B, k) each
        mixed, every = torch.zeros_like(x), torch.arange(len(x), device=x.device)
        for number, layers in enumerate(self.experts):
            weight = (gates * (chosen == number)).sum(dim=1)  # (B,), 0 where not chosen
            pictures = every if self.dense else weight.nonzero().squeeze(1)
            if len(pictures):
                y, context = x[pictures], shared[pictures]
                assert isinstance(layers, nn.ModuleList)
                for layer in layers:
                    y = layer(y, context)
                mixed.index_add_(0, pictures, y * weight[pictures, None, None, None])
        out: Tensor = self.proj_out(mixed)
        return out


class EncoderBlock(nn.Module):
    def __init__(self, config: MoCEIRConfig, level: int) -> None:
        super().__init__()
        channels = config.channels(level)
        self.norms = nn.ModuleList([Norm(channels), Norm(channels)])
        self.mixer = ChannelAttention(channels, config.heads[level], bias=True)
        self.ffn = FeedForward(channels, config.expansion, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.mixer(self.norms[0](x))
        out: Tensor = x + self.ffn(self.norms[1](x))
        return out


class DecoderBlock(nn.Module):
    def __init__(self, config: MoCEIRConfig, level: int, *, dense: bool) -> None:
        super().__init__()
        channels, heads = config.channels(level), config.heads[level]
        self.norms = nn.ModuleList([Norm(channels), Norm(channels)])
        self.proj = nn.ModuleList(conv(channels, channels, bias=True) for _ in range(2))
        self.shared = ChannelAttention(channels, heads, bias=False)
        self.adapter = Mixture(config, level, dense=dense)
        self.mixer = CrossChannelAttention(channels, heads)
        self.ffn = FeedForward(channels, config.expansion, bias=False)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        normed = self.norms[0](x)
        shared = self.shared(self.proj[0](normed))
        x = x + self.mixer(self.adapter(self.proj[1](normed), shared, embedding), shared)
        out: Tensor = x + self.ffn(self.norms[1](x))
        return out


class Stage(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, *context: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x, *context)
        return x


class Resample(nn.Module):
    def __init__(self, channels: int, out: int, shuffle: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(channels, out, 3), shuffle)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return out


class HighFrequency(nn.Module):
    high_pass: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("high_pass", torch.empty(channels, 1, 3, 3))  # loaded
        self.mlp = nn.Sequential(
            nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels)
        )

    def forward(self, latent: Tensor) -> Tensor:
        filtered = F.conv2d(latent, self.high_pass, padding=1, groups=latent.shape[1])
        out: Tensor = self.mlp(F.gelu(filtered).mean((2, 3)))
        return out


class PlainMoCE(nn.Module):
    """MoCE-IR in evaluation (no noise on the routers); takes the state dict of our `MoCEIR`.

    Args:
        config: of the model.
        dense: run every expert on every picture and mask, in place of dispatching.
    """

    def __init__(self, config: MoCEIRConfig, *, dense: bool = False) -> None:
        super().__init__()

        def stage(level: int, blocks: int) -> Stage:
            return Stage(*(EncoderBlock(config, level) for _ in range(blocks)))

        self.patch_embed = nn.ModuleDict({"proj": conv(3, config.dim, 3)})
        self.enc, self.dec = nn.ModuleList(), nn.ModuleList()
        for level, blocks in enumerate(config.encoder_blocks):
            channels = config.channels(level)
            down = Resample(channels, channels // 2, nn.PixelUnshuffle(2))
            self.enc.append(nn.ModuleList([stage(level, blocks), down]))
        self.latent = stage(3, config.latent_blocks)
        self.freq_embed = HighFrequency(config.channels(3))
        for level in (2, 1, 0):
            channels = config.channels(level)
            up = Resample(2 * channels, 4 * channels, nn.PixelShuffle(2))
            count = config.decoder_blocks[level]
            decoder = Stage(*(DecoderBlock(config, level, dense=dense) for _ in range(count)))
            self.dec.append(nn.ModuleList([up, conv(2 * channels, channels), decoder]))
        self.refinement = stage(0, config.refinement_blocks)
        self.output = conv(config.dim, 3, 3)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1], sides of 8 or more -> the same, unclamped."""
        height, width = image.shape[2:]
        padded = F.pad(image, (0, -width % 8, 0, -height % 8), mode="reflect")
        x = self.patch_embed["proj"](padded)
        skips = []
        for level in self.enc:
            assert isinstance(level, nn.ModuleList)
            x = level[0](x)
            skips.append(x)
            x = level[1](x)
        x = self.latent(x)
        embedding = self.freq_embed(x)
        for level in self.dec:
            assert isinstance(level, nn.ModuleList)
            up, merge, decoder = level
            x = decoder(merge(torch.cat([up(x), skips.pop()], dim=1)), embedding)
        residual: Tensor = self.output(self.refinement(x))
        return image + residual[:, :, :height, :width]
