"""Networks in a form that fits a fixed graph: no choice, no tiles, every size from one graph.

What a graph computes is compared with `reference`, which is the network as it is.
"""

from collections.abc import Sequence
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor

from pixperts.defaults import REPAIR_PARTS
from pixperts.errors import UsageError
from pixperts.export.faithful_form import FaithfulForm
from pixperts.export.form import Form, up_to_multiple
from pixperts.export.repair_forms import DetailForm, ToneForm, WholeForm
from pixperts.export.scout_form import ScoutForm
from pixperts.models.interfaces import Network, UpscalingNetwork
from pixperts.models.moce_ir.model import MoCEIR
from pixperts.models.moce_ir_light.config import EXPERTS
from pixperts.models.moce_ir_light.model import MoCEIRLight
from pixperts.models.moeisr_light.color import bound_color
from pixperts.models.moeisr_light.model import MoEISRLight
from pixperts.ops.windows import Part, Window

LARGEST = 12  # of p in a factor p/q: p * p phases are computed for each q * q pixels


class EncoderForm(Form):
    """The features of a network that enlarges: (B, 3, h, w) in [0, 1] -> (B, C, h, w)."""

    outputs = ("features",)
    label, summary = "encoder", "encoder"

    def __init__(self, model: UpscalingNetwork) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, h, w) in [0, 1] -> (B, C, h, w)."""
        return self.model.encode(image)

    def reference(self, image: Tensor) -> Sequence[Tensor]:
        """What the network itself gives."""
        return (self.model.encode(image),)


class LightForm(Form):
    """moeisr-light at a factor p/q: its field becomes one convolution and a shuffle.

    Each q x q LR pixels make p x p pixels of the result, whose cosines are known beforehand. Sides
    that are no multiple of q are continued with zeros, as the convolution does at borders, and the
    result is cut to those of its pixels whose centers lie on the picture.

    Args:
        model: the network.
        scale: p/q.
        expert: which one refines all features; 0 leaves them.

    Raises:
        UsageError: for a factor whose p is too large, or an expert that is not there.
    """

    outputs = ("enlarged",)

    def __init__(self, model: MoEISRLight, scale: Fraction, expert: int) -> None:
        super().__init__()
        self.model, self.p, self.q = model, scale.numerator, scale.denominator
        self.step, self.expert = self.q, expert
        self.label = self.summary = f"x{float(scale):g}"
        if len(model.costs) > 1:
            self.label += f"_e{expert}"
            self.summary += f" with expert {expert}"
        kernel, bias = self._folded()
        self.register_buffer("kernel", kernel, persistent=False)
        self.register_buffer("bias", bias, persistent=False)

    kernel: Tensor  # (3 * p * p, C, q + 2, q + 2)
    bias: Tensor  # (3 * p * p,)

    @torch.no_grad()
    def _folded(self) -> tuple[Tensor, Tensor]:
        """Cosines times coefficients, each phase's 3x3 kernel around its own LR pixel."""
        field, p, q = self.model.field, self.p, self.q
        k, (weight, shifts) = field.basis, field.coefficients_at(p / q, p / q)
        places, waves = field.cosines(torch.arange(p), p, q)  # (p,), (p, k)
        table = torch.einsum("ai,bj->abij", waves, waves).reshape(p * p, k * k)
        flat = torch.einsum("pk,ckf->cpf", table, weight.reshape(3, k * k, -1))
        small = flat.reshape(3, p, p, -1, 3, 3)
        kernel = weight.new_zeros(3, p, p, weight.shape[1], q + 2, q + 2)
        for a, y in enumerate(places.tolist()):
            for b, x in enumerate(places.tolist()):
                kernel[:, a, b, :, y : y + 3, x : x + 3] = small[:, a, b]
        bias = torch.einsum("pk,ck->cp", table, shifts.view(3, k * k))
        return kernel.reshape(3 * p * p, *kernel.shape[3:]), bias.flatten()

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, h, w) in [0, 1] -> (B, 3, H, W) in [0, 1]."""
        height, width = image.shape[2:]
        features = self._refined(self.model.encode(image))
        margin = (1, 1 + self._missing(width), 1, 1 + self._missing(height))
        phases = F.conv2d(F.pad(features, margin), self.kernel, self.bias, stride=self.q)
        new_height, new_width = self._length(height), self._length(width)
        detail = F.pixel_shuffle(phases, self.p)[:, :, :new_height, :new_width]
        rows = self._below(new_height, image)
        columns = self._below(new_width, image)
        result = detail + image.index_select(2, rows).index_select(3, columns)
        if self.model.config.bounded_color:
            result = bound_color(result, image, rows, columns)
        return result.clamp(0, 1)

    def reference(self, image: Tensor) -> Sequence[Tensor]:
        """The network's own answer, for a tile of a picture whose sides are multiples of q."""
        height, width = image.shape[2:]
        whole = height + self._missing(height), width + self._missing(width)
        size = whole[0] * self.p // self.q, whole[1] * self.p // self.q
        out = Window(0, self._length(height), 0, self._length(width))
        part = Part(out, Window(0, height, 0, width), whole)
        routed = self.model
        if self.model.mapper is None:
            plain: Tensor = routed(image, size, part=part).image
            return (plain.clamp(0, 1),)
        chosen = torch.full((len(image), height, width), self.expert)
        features = routed.refine(routed.encode(image), chosen)
        found: Tensor = routed.field(features, image, size, part)
        if self.model.config.bounded_color:
            places = (self._below(n, image) for n in (out.bottom, out.right))
            found = bound_color(found, image, *places)
        return (found.clamp(0, 1),)

    def _refined(self, features: Tensor) -> Tensor:
        """All features by the one expert."""
        if self.model.experts is None or self.expert == 0:
            return features
        shared = F.relu(self.model.experts.shared(features)).permute(0, 2, 3, 1)
        more: Tensor = self.model.experts.experts[self.expert - 1](shared)
        return features + more.permute(0, 3, 1, 2)

    # In the following a side may be an unknown of the graph, see `form`.

    def _missing(self, side: int) -> int:
        """Pixels up to the next multiple of q."""
        return 0 if self.q == 1 else up_to_multiple(side, self.q) - side

    def _length(self, side: int) -> int:
        """Pixels of the result whose centers lie on the picture."""
        return side * self.p if self.q == 1 else (2 * side * self.p + self.q - 1) // (2 * self.q)

    def _below(self, length: int, image: Tensor) -> Tensor:
        """The LR row or column below each of the result."""
        places = torch.arange(length, device=image.device)
        return torch.div((2 * places + 1) * self.q, 2 * self.p, rounding_mode="floor")


def form_of(
    model: Network,
    name: str,
    scale: float | None = None,
    experts: Sequence[int] | None = None,
    part: str | None = None,
) -> Form:
    """The form of a network that is to be written.

    Args:
        model: the network.
        name: of it, for messages.
        scale: factor of enlargement; None for the encoder, and for models that repair.
        experts: that serve all pixels: one of a model that enlarges, where there are several (None
            = the most expensive one), or one for each block of a model that repairs (None = all
            are in the graph, and a picture takes those that its routers choose).
        part: of `REPAIR_PARTS`, of a model that repairs; None = all in one graph.

    Raises:
        UsageError: for what a fixed graph cannot have.
    """
    if isinstance(model, UpscalingNetwork):
        if part is not None:
            raise UsageError(f"--part is for models that repair, and {name} enlarges.")
        return _enlarging(model, name, scale, experts)
    if scale is not None:
        raise UsageError(f"{name} repairs at the picture's own size: leave --scale out.")
    if isinstance(model, MoCEIR):
        if part is not None or experts is not None:
            raise UsageError(
                f"{name} looks at all pixels in every block, so its graph is one for whole "
                "pictures with all experts: leave --part and --expert out, or take moce-ir-light."
            )
        return FaithfulForm(model)
    assert isinstance(model, MoCEIRLight)
    if experts is not None:
        blocks = len(model.mixtures)
        if len(experts) != blocks or not all(0 <= one < EXPERTS for one in experts):
            raise UsageError(
                f"--expert must name one of the experts 0 to {EXPERTS - 1} for each of the "
                f"{blocks} blocks of {name}, such as {','.join(['1'] * blocks)}."
            )
        if part in ("scout", "tone"):
            raise UsageError(f"the {part} has no experts: leave --expert out.")
    chosen = None if experts is None else tuple(experts)
    if part is None:
        return WholeForm(model, chosen)
    if part == "detail":
        return DetailForm(model, chosen)
    if part not in REPAIR_PARTS:
        raise UsageError(f"--part is {part!r}, but must be one of {', '.join(REPAIR_PARTS)}.")
    return ScoutForm(model) if part == "scout" else ToneForm(model)


def _enlarging(
    model: UpscalingNetwork, name: str, scale: float | None, experts: Sequence[int] | None
) -> Form:
    """An encoder, or a whole network at a factor."""
    if scale is None:
        if experts is not None:
            raise UsageError("an encoder has no experts: leave --expert out, or give --scale.")
        return EncoderForm(model)
    if not isinstance(model, MoEISRLight):
        raise UsageError(
            f"{name} chooses an expert for each pixel, which a fixed graph cannot do: leave "
            "--scale out for its encoder, or take moeisr-photo or moeisr-light."
        )
    last = len(model.costs) - 1
    if experts is None:
        return LightForm(model, _ratio(scale), last)
    given = ",".join(map(str, experts))
    if len(experts) != 1 or not 0 <= experts[0] <= last:
        there = "has a single expert, 0" if last == 0 else f"has the experts 0 to {last}"
        raise UsageError(f"--expert is {given}, but {name} {there}.")
    return LightForm(model, _ratio(scale), experts[0])


def _ratio(scale: float) -> Fraction:
    """A factor as a fraction of small whole numbers.

    >>> _ratio(2.5), _ratio(4.0)
    (Fraction(5, 2), Fraction(4, 1))
    """
    if not 0 < scale <= LARGEST:
        raise UsageError(f"--scale is {scale:g}, but must be above 0 and be at most {LARGEST}.")
    ratio = Fraction(repr(float(scale)))
    if ratio < 1:
        raise UsageError(f"--scale is {scale:g}, but an exported model enlarges: give 1 or more.")
    if ratio.numerator > LARGEST:
        raise UsageError(
            f"--scale is {scale:g}, which is {ratio}: a graph of one convolution needs a factor "
            f"such as 1.5, 2, 2.5 or 3, a fraction of whole numbers up to {LARGEST}."
        )
    return ratio
