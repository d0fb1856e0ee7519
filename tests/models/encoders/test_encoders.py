"""RDN and SwinIR as encoders: parity with the published outputs, and laws they must keep."""

import importlib.util
import itertools
import json
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from pixperts.errors import ModelError
from pixperts.models.encoders.rdn import RDN, RDNConfig
from pixperts.models.encoders.swinir import (
    DropPath,
    SwinIR,
    SwinIRConfig,
    reflect_to_multiple,
    relative_position_index,
    shift_mask,
)
from tests.helpers.places import REFERENCE

SMALL_RDN = RDNConfig(channels=12, blocks=2, convolutions=2, growth=6)
SMALL_SWINIR = SwinIRConfig(
    channels=10, width=12, groups=2, layers=2, heads=3, window=4, drop_path=0.0
)


def small(name: str) -> RDN | SwinIR:
    """A small encoder with weights large enough that every path matters."""
    torch.manual_seed(0)
    encoder = RDN(SMALL_RDN) if name == "rdn" else SwinIR(SMALL_SWINIR)
    for parameter in encoder.parameters():
        scale = 1.0 if parameter.ndim == 1 else parameter[0].numel() ** -0.5
        with torch.no_grad():
            parameter.normal_(0.0, scale)
    return encoder.eval()


both = pytest.mark.parametrize("name", ["rdn", "swinir"])


# ---------------------------------------------------------------- parity


class PlainLIIF(nn.Module):
    """LIIF (Chen et al., CVPR 2021, section 3) on an encoder, written without any shortcut."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        sizes = [64 * 9 + 4, 256, 256, 256, 256, 3]
        layers: list[nn.Module] = []
        for a, b in itertools.pairwise(sizes):
            layers += [nn.Linear(a, b), nn.ReLU()]
        self.imnet = nn.ModuleDict({"layers": nn.Sequential(*layers[:-1])})

    def forward(self, image: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, 3, h, w) in [0, 1] -> (B, 3, H, W), not clamped."""
        B, _, h, w = image.shape
        features = F.unfold(self.encoder((image - 0.5) / 0.5), 3, padding=1).view(B, -1, h, w)
        maps = torch.cat((features, centres(h, w).permute(2, 0, 1).expand(B, 2, h, w)), 1)
        queries = centres(*size).reshape(1, -1, 2).expand(B, -1, 2)  # (B, Q, 2), (y, x)
        lr = torch.tensor([h, w])
        cell = (2.0 / torch.tensor(size) * lr).expand(B, queries.shape[1], 2)
        colours, areas = [], []
        for shift in itertools.product((-1, 1), (-1, 1)):
            at = (queries + torch.tensor(shift) / lr + 1e-6).clamp(-1 + 1e-6, 1 - 1e-6)
            grid = at.flip(-1)[:, None]  # (B, 1, Q, 2), (x, y)
            nearest = F.grid_sample(maps, grid, mode="nearest", align_corners=False)
            nearest = nearest[:, :, 0].transpose(1, 2)  # (B, Q, C * 9 + 2)
            relative = (queries - nearest[..., -2:]) * lr
            inputs = torch.cat((nearest[..., :-2], relative, cell), -1)
            colours.append(self.imnet["layers"](inputs))
            areas.append(relative.prod(-1, keepdim=True).abs() + 1e-9)
        total = sum(areas)
        out = sum(c * a / total for c, a in zip(colours, areas[::-1], strict=True))
        assert isinstance(out, Tensor)
        return out.transpose(1, 2).view(B, 3, *size) * 0.5 + 0.5


def centres(height: int, width: int) -> Tensor:
    """(H, W, 2) pixel centers (y, x) with the image's borders at -1 and 1."""
    axes = [(torch.arange(n) * 2 + 1) / n - 1 for n in (height, width)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)


def stand_in() -> ModuleType:
    spec = importlib.util.spec_from_file_location("weights", REFERENCE / "weights.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def published(name: str) -> tuple[dict[str, Any], Tensor]:
    if not REFERENCE.is_dir():
        pytest.skip("needs ../shared/reference, the outputs of the published implementation")
    case = json.loads((REFERENCE / "arbitrary_scale.json").read_text())[name]
    with np.load(REFERENCE / f"{name}.npz") as outputs:
        return case, torch.from_numpy(outputs["output"])


def full_encoder(name: str) -> RDN | SwinIR:
    return RDN(RDNConfig()) if name == "rdn" else SwinIR(SwinIRConfig())


def reference_keys(case: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """The published keys and shapes, without the two buffers computed here."""
    absent = ("relative_position_index", "attn_mask")
    return {k: tuple(s) for k, s in dict(case["state_dict"]).items() if not k.endswith(absent)}


@both
def test_state_dict_has_the_published_keys_and_shapes(name: str) -> None:
    case, _ = published(f"liif-{name}")
    model = PlainLIIF(full_encoder(name))
    assert {k: tuple(v.shape) for k, v in model.state_dict().items()} == reference_keys(case)
    assert sum(p.numel() for p in model.parameters()) == case["parameters"]


@both
@pytest.mark.slow
def test_output_equals_the_published_implementation(name: str) -> None:
    case, expected = published(f"liif-{name}")
    weights = stand_in()
    model = PlainLIIF(full_encoder(name)).eval()
    state = {
        key: torch.from_numpy(weights.tensor(key, shape, case["weights_seed"]))
        for key, shape in reference_keys(case).items()
    }
    model.load_state_dict(state)
    image = torch.from_numpy(weights.image(**case["image"]))
    size = tuple(case["output_size"])
    with torch.inference_mode():
        together = model(image, size)
        alone = torch.cat([model(image[i : i + 1], size) for i in range(len(image))])
    tolerance = 2e-4 * expected.std().item()
    assert (together - expected).abs().max().item() < tolerance
    assert (alone - expected).abs().max().item() < tolerance


# ---------------------------------------------------------------- laws


@both
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 9), (17, 8)])
def test_any_size_is_kept(name: str, size: tuple[int, int]) -> None:
    encoder = small(name)
    with torch.inference_mode():
        features = encoder(torch.rand(2, 3, *size) * 2 - 1)
    assert features.shape == (2, encoder.out_channels, *size)
    assert features.isfinite().all()


@both
def test_every_parameter_gets_a_gradient(name: str) -> None:
    encoder = small(name).train()
    encoder(torch.rand(2, 3, 9, 13) * 2 - 1).square().mean().backward()
    for key, parameter in encoder.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.abs().max() > 0, key


@both
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.slow
def test_multiply_adds_equal_the_counted_ones(name: str, full: bool) -> None:
    encoder = full_encoder(name).eval() if full else small(name)
    x = torch.rand(1, 3, 16, 16)
    # The counter knows the products of plain attention, but not the fused kernel of the CPU.
    with (
        torch.no_grad(),
        sdpa_kernel(SDPBackend.MATH),
        FlopCounterMode(display=False) as counter,
    ):
        encoder(x)
    assert encoder.multiply_adds_per_pixel() == pytest.approx(
        counter.get_total_flops() / 2 / 16**2, rel=1e-6
    )


@both
def test_a_picture_has_the_same_features_in_any_batch(name: str) -> None:
    encoder = small(name)
    x = torch.rand(3, 3, 10, 7) * 2 - 1
    with torch.inference_mode():
        together = encoder(x)
        alone = torch.cat([encoder(x[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


@both
def test_a_crop_has_the_same_features_away_from_its_cuts(name: str) -> None:
    """Translation equivariance in the interior: by 1 pixel for RDN, by windows for SwinIR."""
    encoder = small(name)
    radius, step = encoder.receptive_radius, encoder.size_multiple
    side = 2 * radius + 6
    x = torch.rand(1, 3, side + 3 * step, side + step) * 2 - 1
    with torch.inference_mode():
        whole = encoder(x)[:, :, 3 * step :, step:]
        crop = encoder(x[:, :, 3 * step :, step:])
    torch.testing.assert_close(
        crop[:, :, radius:, radius:], whole[:, :, radius:, radius:], rtol=1e-4, atol=1e-5
    )
    # and not at the cut, or the test would prove nothing
    assert (crop[:, :, 0] - whole[:, :, 0]).abs().max() > 1e-2


@both
def test_receptive_radius_is_exactly_how_far_a_pixel_reaches(name: str) -> None:
    encoder = small(name).double()
    radius = encoder.receptive_radius
    width = 2 * radius + 1 + 2 * encoder.size_multiple
    x = (torch.rand(1, 3, 1, width, dtype=torch.float64) * 2 - 1).requires_grad_()
    features = encoder(x)
    farthest = 0
    for at in range(radius, radius + encoder.size_multiple):
        (grad,) = torch.autograd.grad(features[0, :, 0, at].sum(), x, retain_graph=True)
        touched = grad.abs().amax((0, 1, 2)).nonzero()[:, 0]
        farthest = max(farthest, at - int(touched.min()), int(touched.max()) - at)
    assert farthest == radius


@both
def test_forward_writes_no_state(name: str) -> None:
    encoder = small(name)
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    attributes = {k: set(vars(m)) for k, m in encoder.named_modules()}
    x = torch.rand(1, 3, 6, 9)
    kept = x.clone()
    with torch.inference_mode():
        first = encoder(x)
        encoder(torch.rand(2, 3, 13, 3))
        second = encoder(x)
    assert torch.equal(first, second)
    assert torch.equal(x, kept)
    assert attributes == {k: set(vars(m)) for k, m in encoder.named_modules()}
    assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())


@both
def test_bfloat16_runs_and_stays_near(name: str) -> None:
    encoder = small(name)
    x = torch.rand(1, 3, 8, 9) * 2 - 1
    with torch.inference_mode():
        exact = encoder(x)
        coarse = encoder.bfloat16()(x.bfloat16())
    assert coarse.dtype == torch.bfloat16
    assert (coarse.float() - exact).std() < 0.1 * exact.std()


# ---------------------------------------------------------------- parts of SwinIR


@pytest.mark.parametrize("size", [(5, 6), (8, 11), (16, 9)])
def test_padding_equals_reflect_padding_where_that_is_defined(size: tuple[int, int]) -> None:
    x = torch.rand(2, 3, *size)
    pad = (0, -size[1] % 8, 0, -size[0] % 8)
    assert torch.equal(reflect_to_multiple(x, 8), F.pad(x, pad, mode="reflect"))


def test_padding_of_a_short_side_goes_back_and_forth() -> None:
    x = torch.tensor([[[[1.0, 2.0]]]])
    padded = reflect_to_multiple(x, 4)
    assert padded.tolist() == [[[[1.0, 2.0, 1.0, 2.0]] * 4]]


def test_relative_position_index_names_each_offset_once() -> None:
    w = 3
    index = relative_position_index(w)
    for query, key in itertools.product(range(w * w), repeat=2):
        dy, dx = query // w - key // w, query % w - key % w
        assert index[query, key] == (dy + 2) * 5 + dx + 2
    assert len(set(index.flatten().tolist())) == 25


def test_shifted_windows_only_join_pixels_that_are_neighbours_in_the_image() -> None:
    rows, columns, w = 2, 3, 4
    # Each pixel's place, shifted and cut into windows as the layer does it.
    y, x = torch.meshgrid(torch.arange(rows * w), torch.arange(columns * w), indexing="ij")
    place = torch.stack((y, x), -1).roll((-w // 2, -w // 2), (0, 1))
    windows = place.view(rows, w, columns, w, 2).transpose(1, 2).reshape(-1, 1, w * w, 2)
    distance = (windows[:, :, :, None] - windows[:, :, None]).abs().amax(-1)
    mask = shift_mask(2, rows, columns, w, torch.device("cpu"))
    assert torch.equal(mask == 0, (distance < w).repeat(2, 1, 1, 1))
    assert set(mask.flatten().tolist()) == {-100.0, 0.0}


@pytest.mark.parametrize("silenced", [("attn.proj", "mlp.fc2"), (".conv",)])
def test_branches_of_zero_leave_the_skips_alone(silenced: tuple[str, ...]) -> None:
    encoder = small("swinir")
    assert isinstance(encoder, SwinIR)
    for key, module in encoder.layers.named_modules():
        if f".{key}".endswith(silenced):
            for parameter in module.parameters():
                nn.init.zeros_(parameter)
    x = torch.rand(1, 4, 8, SMALL_SWINIR.width)
    mask = shift_mask(1, 1, 2, SMALL_SWINIR.window, x.device)
    with torch.inference_mode():
        for group in encoder.layers:
            whole = group if silenced == (".conv",) else group.get_submodule("residual_group")
            assert torch.equal(whole(x, mask), x)


def test_drop_path_keeps_or_drops_whole_samples_and_the_mean() -> None:
    torch.manual_seed(0)
    drop = DropPath(0.25)
    x = torch.ones(4000, 2, 3)
    y = drop(x)
    assert torch.equal(y, y[:, :1, :1].expand_as(y))
    assert sorted(set(y.flatten().tolist())) == pytest.approx([0.0, 1 / 0.75])
    assert y.mean().item() == pytest.approx(1.0, abs=0.05)
    assert drop.eval()(x) is x


def test_drop_path_rises_from_none_to_the_configured_rate() -> None:
    model = SwinIR(SwinIRConfig(width=12, groups=2, layers=2, heads=3, window=4, drop_path=0.3))
    rates = [m.p for m in model.modules() if isinstance(m, DropPath)]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"width": 10, "heads": 3}, "width"),
        ({"window": 1}, "window"),
        ({"drop_path": 1.0}, "drop_path"),
        ({"mlp_ratio": 0.0}, "mlp_ratio"),
        ({"layers": 0}, "layers"),
    ],
)
def test_impossible_swinir_configurations_are_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ModelError, match=named):
        SwinIRConfig(**options)


@pytest.mark.parametrize("named", ["channels", "blocks", "convolutions", "growth"])
def test_impossible_rdn_configurations_are_refused(named: str) -> None:
    with pytest.raises(ModelError, match=named):
        RDNConfig(**{named: 0})
