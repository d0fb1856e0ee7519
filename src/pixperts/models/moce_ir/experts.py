"""The complexity experts of MoCE-IR (arXiv 2411.18466, section 3.2) and their router.

An expert with few channels and a small window is cheap, and sees only what is near. One with all
channels and a large window is expensive, and sees far. The attention multiplies queries and keys in
the Fourier domain of each window (FFTformer, Kong et al., CVPR 2023, arXiv 2211.12250), which is
their circular convolution.
"""

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixperts.models.moce_ir.bands import Band, bands, empty_like_map
from pixperts.models.moce_ir.blocks import (
    ChannelNorm,
    Pointwise,
    depthwise,
    multiply_adds_per_pixel,
)
from pixperts.models.moce_ir.statistics import Census, mean_over_pixels
from pixperts.routing import Routing, run_experts, run_experts_masked

FOURIER_FORMS = ("fft", "matrix")


def fourier_product(q: Tensor, k: Tensor) -> Tensor:
    """Circular convolution of the windows of q and k, by the fast Fourier transform.

    Args:
        q: (B, rows, w, columns, w, C) float32, in windows of w x w pixels.
        k: of the same shape.

    Returns:
        irfft2(rfft2(q) * rfft2(k)) of each window and channel, of the same shape.

    Example:
        >>> q, k = torch.zeros(2, 1, 1, 4, 1, 4, 1)
        >>> q[0, 0, 1, 0, 2], k[0, 0, 0, 0, 3] = 1.0, 5.0  # shifts add up, 2 + 3 wraps round to 1
        >>> round(float(fourier_product(q, k)[0, 0, 1, 0, 1, 0]), 4)
        5.0
    """
    size = (q.shape[2], q.shape[4])
    spectrum = torch.fft.rfft2(q, dim=(2, 4)) * torch.fft.rfft2(k, dim=(2, 4))
    product: Tensor = torch.fft.irfft2(spectrum, s=size, dim=(2, 4))
    return product


def fourier_product_by_matrices(q: Tensor, k: Tensor) -> Tensor:
    """As `fourier_product`, but by matrix products only: for exports and devices without an FFT.

    On a CPU it is slower than the FFT for all windows of the paper, 4 to 32 pixels.
    """
    size = q.shape[4]
    steps = torch.arange(size, dtype=torch.float64)
    angles = 2 * math.pi / size * (torch.outer(steps, steps) % size)  # exact before the cosine
    half = size // 2 + 1
    cosine, sine = (f(angles).to(q.device, torch.float32) for f in (torch.cos, torch.sin))
    # Half of the spectrum of real numbers determines the other half. So all of its columns except
    # the first and the middle one count twice.
    double = torch.full((half, 1), 2.0, device=q.device)
    double[0] = 1.0
    if size % 2 == 0:
        double[-1] = 1.0

    def across(x: Tensor, matrix: Tensor) -> Tensor:
        return torch.einsum("bricfd,fg->bricgd", x, matrix)

    def down(x: Tensor, matrix: Tensor) -> Tensor:
        return torch.einsum("bricfd,ig->brgcfd", x, matrix)

    def transform(x: Tensor) -> tuple[Tensor, Tensor]:
        real, imaginary = across(x, cosine[:, :half]), -across(x, sine[:, :half])
        return (
            down(real, cosine) + down(imaginary, sine),
            down(imaginary, cosine) - down(real, sine),
        )

    (a, b), (c, d) = transform(q), transform(k)
    real, imaginary = a * c - b * d, a * d + b * c
    rows_real = down(real, cosine) - down(imaginary, sine)
    rows_imaginary = down(imaginary, cosine) + down(real, sine)
    product = across(rows_real, double * cosine[:half])
    product = product - across(rows_imaginary, double * sine[:half])
    return product / size**2


class FourierAttention(nn.Module):
    """proj_out(norm(q conv k) * v), where conv is the circular convolution of each window.

    Args:
        channels: of the map, C.
        window: side of a window in pixels.
        form: one of `FOURIER_FORMS`, which gives the same result in another way.
    """

    def __init__(self, channels: int, window: int, form: str) -> None:
        super().__init__()
        self.window, self.form = window, form
        self.q = Pointwise(channels, channels, bias=False)
        self.q_dwconv = depthwise(channels, 3, bias=True)
        self.kv = Pointwise(channels, 2 * channels, bias=False)
        self.kv_dwconv = depthwise(2 * channels, 7, bias=True)
        self.norm = ChannelNorm(channels)
        self.proj_out = Pointwise(channels, channels, bias=True)

    def forward(self, x: Tensor, band: Band) -> Tensor:
        """Rows `low` to `high` of the band (B, C, h, W) -> rows `top` to `bottom` (B, C, h2, W)."""
        q = band.core(self.q_dwconv(self.q(x)))
        k, v = map(band.core, self.kv_dwconv(self.kv(x)).chunk(2, dim=1))
        product = self._multiply(q, k).to(v.dtype)
        return cast(Tensor, self.proj_out(self.norm(product) * v))

    def _multiply(self, q: Tensor, k: Tensor) -> Tensor:
        """The Fourier product of all windows (B, C, H, W), in float32.

        Windows that reach over the right or bottom edge are filled with zeros.
        """
        batch, channels, height, width = q.shape
        size = self.window
        # Rounded up in a way that `torch.export` can trace for unknown height and width.
        rows, columns = (height + size - 1) // size, (width + size - 1) // size
        padding = (0, 0, 0, columns * size - width, 0, rows * size - height)

        def windows(x: Tensor) -> Tensor:
            # CPUs have no FFT in half precision, and GPUs only for sides that are powers of two.
            padded = F.pad(x.permute(0, 2, 3, 1).float(), padding)
            return padded.reshape(batch, rows, size, columns, size, channels)

        with torch.autocast(q.device.type, enabled=False):
            form = fourier_product if self.form == "fft" else fourier_product_by_matrices
            product = form(windows(q), windows(k))
        whole = product.reshape(batch, rows * size, columns * size, channels)
        return whole[:, :height, :width].permute(0, 3, 1, 2)

    def multiply_adds_per_pixel(self) -> float:
        """Of the convolutions, the product, and three real transforms.

        A real transform of n points counts as 2.5 n log2 n floating-point operations, two of which
        are one multiply-add.
        """
        channels = self.norm.body.normalized_shape[0]
        transforms = 3 * 1.25 * 2 * math.log2(self.window)
        return multiply_adds_per_pixel(self) + channels * (transforms + 2.0)


class ComplexityExpert(nn.Module):
    """y = P2(attention(P0 x) * silu(P1 shared)) + x (equation 3); P0 and P1 reduce the channels.

    Args:
        channels: of the map, C.
        rank: channels inside, at most C.
        window: side of the windows of the attention in pixels.
        form: see `FourierAttention`.
    """

    def __init__(self, channels: int, rank: int, window: int, form: str) -> None:
        super().__init__()
        self.proj = nn.ModuleList(
            [
                Pointwise(channels, rank, bias=False),
                Pointwise(channels, rank, bias=False),
                Pointwise(rank, channels, bias=False),
            ]
        )
        self.body = FourierAttention(rank, window, form)

    def forward(self, x: Tensor, shared: Tensor) -> Tensor:
        """x and the output of the shared expert, (B, C, H, W) each -> (B, C, H, W)."""
        result: Tensor | None = None
        # Windows lie on a grid, and the widest convolution is 7x7.
        for band in bands(x, halo=3, unit=self.body.window):
            rows = slice(band.top, band.bottom)
            modulation = F.silu(self.proj[1](shared[:, :, rows]))
            attended = self.body(self.proj[0](band.cut(x)), band)
            part: Tensor = self.proj[2](attended * modulation) + x[:, :, rows]
            if part.shape[2] == x.shape[2]:
                return part
            if result is None:
                result = empty_like_map(part, x.shape[2])
            result[:, :, rows] = part
        assert result is not None
        return result

    def multiply_adds_per_pixel(self) -> float:
        """Of the three projections and the attention."""
        return multiply_adds_per_pixel(self.proj) + self.body.multiply_adds_per_pixel()


class Router(nn.Module):
    """One decision per picture: logits = W_g mean(x) + W_f e, in float32.

    Args:
        channels: of x, C.
        embedding: length of e, E.
        experts: number of experts, J.
    """

    def __init__(self, channels: int, embedding: int, experts: int) -> None:
        super().__init__()
        self.gate = nn.Linear(channels, experts, bias=False)
        self.freq_gate = nn.Linear(embedding, experts, bias=False)

    def forward(
        self, x: Tensor, embedding: Tensor, census: Census | None = None
    ) -> tuple[Tensor, Tensor]:
        """x (B, C, H, W) and the embedding e (B, E) -> (B, J) logits and (B, C) means of x."""
        # In half precision, rounding would decide between experts with nearly equal logits.
        with torch.autocast(x.device.type, enabled=False):
            pooled = mean_over_pixels(x, census)
            logits = F.linear(pooled, self.gate.weight.float())
            return logits + F.linear(embedding.float(), self.freq_gate.weight.float()), pooled


class ExpertMixture(nn.Module):
    """The routed experts of a decoder block; each picture passes through its top-k only.

    Args:
        channels: of the map, C.
        embedding: length of the embedding of the high frequencies, E.
        ranks: channels inside each expert, cheapest expert first.
        windows: side of the windows of each expert in pixels.
        depth: layers of each expert.
        top_k: number of experts per picture.
        form: see `FourierAttention`.

    Attributes:
        complexity: parameters of each expert, relative to the largest one.
        expert_multiply_adds: of each expert, per pixel.
        costs: multiply-adds of each expert, relative to the most expensive one.
    """

    def __init__(
        self,
        channels: int,
        embedding: int,
        ranks: tuple[int, ...],
        windows: tuple[int, ...],
        depth: int,
        top_k: int,
        form: str,
    ) -> None:
        super().__init__()
        self.top_k = top_k
        self.experts = nn.ModuleList(
            nn.ModuleList(ComplexityExpert(channels, rank, window, form) for _ in range(depth))
            for rank, window in zip(ranks, windows, strict=True)
        )
        self.proj_out = Pointwise(channels, channels, bias=False)
        self.routing = Router(channels, embedding, len(ranks))
        sizes = [sum(p.numel() for p in expert.parameters()) for expert in self.experts]
        self.complexity = tuple(size / max(sizes) for size in sizes)
        self.expert_multiply_adds = tuple(
            sum(cast(ComplexityExpert, layer).multiply_adds_per_pixel() for layer in layers)
            for layers in map(self._layers, range(len(ranks)))
        )
        most = max(self.expert_multiply_adds)
        self.costs = tuple(cost / most for cost in self.expert_multiply_adds)

    def _layers(self, number: int) -> nn.ModuleList:
        return cast(nn.ModuleList, self.experts[number])

    def route(
        self,
        x: Tensor,
        embedding: Tensor,
        noise: Tensor | None,
        name: str,
        census: Census | None = None,
    ) -> Routing:
        """Choose the top-k experts of each picture, with their probabilities as gates.

        The gates are not scaled to a sum of 1.

        Args:
            x: (B, C, H, W), the input of the experts.
            embedding: (B, E) of the high frequencies of the latent.
            noise: (B, J) added to the logits, in training; None for none.
            name: of the decoder block, for the record of the choice.
            census: see `blocks.attend`.
        """
        logits, pooled = self.routing(x, embedding, census)
        noisy = logits if noise is None else logits + noise
        gates, experts = noisy.softmax(dim=-1).topk(self.top_k, dim=-1)  # (B, k) each
        return Routing(
            experts,
            self.costs,
            logits.detach().softmax(dim=-1),
            gates=gates,
            logits=logits,
            noisy_logits=noisy,
            pooled=pooled.detach(),
            name=name,
        )

    def forward(self, x: Tensor, shared: Tensor, routing: Routing, *, masked: bool) -> Tensor:
        """Run the chosen experts and add up their results.

        Args:
            x: (B, C, H, W), the input of the experts.
            shared: (B, C, H, W), the output of the shared expert.
            routing: the choice, with gates.
            masked: run every expert on every picture and drop what was not chosen.

        Returns:
            (B, C, H, W).
        """
        batch, channels, height, width = x.shape
        gates = cast(Tensor, routing.gates)
        count = gates.shape[1]
        # Item i is choice i % k of picture i // k. Maps are passed as (B, H, W, C), which keeps
        # their memory format.
        rows, shared_rows = x.permute(0, 2, 3, 1), shared.permute(0, 2, 3, 1)

        def runner(number: int) -> "ExpertRunner":
            return ExpertRunner(self._layers(number), rows, shared_rows, count)

        out = x.new_zeros(batch * count, height, width, channels)
        run = run_experts_masked if masked else run_experts
        mixed = run(routing.experts.flatten(), [*map(runner, range(len(self.costs)))], out=out)
        weights = gates.to(mixed.dtype).view(batch, count, 1, 1, 1)
        mixed = mixed.view(batch, count, height, width, channels)
        mixed = mixed[:, 0] * weights[:, 0] if count == 1 else (mixed * weights).sum(dim=1)
        return cast(Tensor, self.proj_out(mixed.permute(0, 3, 1, 2)))


class ExpertRunner:
    """One expert, to be called with the numbers of the items that chose it.

    Args:
        layers: of the expert.
        rows: (B, H, W, C), its input for all pictures.
        shared: (B, H, W, C), the output of the shared expert.
        count: items per picture, k; item i belongs to picture i // k.
    """

    def __init__(self, layers: nn.ModuleList, rows: Tensor, shared: Tensor, count: int) -> None:
        self.layers, self.rows, self.shared, self.count = layers, rows, shared, count

    def __call__(self, items: Tensor) -> Tensor:
        """Item numbers (M,) -> (M, H, W, C)."""
        # Items come in order and once each. With one item per picture, as many items as pictures
        # are all of them, so that nothing needs to be copied.
        every = self.count == 1 and len(items) == len(self.rows)
        picture = slice(None) if every else items // self.count
        x = self.rows[picture].permute(0, 3, 1, 2)  # (M, C, H, W)
        shared = self.shared[picture].permute(0, 3, 1, 2)
        for layer in self.layers:
            x = layer(x, shared)
        return x.permute(0, 2, 3, 1)
