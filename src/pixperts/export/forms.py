"""Networks as fixed graphs without choices and tiles; one graph takes pictures of any size.

The results of a graph are compared with `reference`, the result of the network itself.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor

from pixperts.defaults import JUDGE, REPAIR_PARTS
from pixperts.errors import UsageError, named
from pixperts.export.faithful_form import FaithfulForm
from pixperts.export.form import Form
from pixperts.export.judge_form import JudgeForm
from pixperts.export.repair_forms import DetailForm, ToneForm, WholeForm
from pixperts.export.scout_form import ScoutForm
from pixperts.models.interfaces import Network, PairedNetwork, UpscalingNetwork
from pixperts.models.moce_ir.model import MoCEIR
from pixperts.models.moce_ir_light.config import EXPERTS
from pixperts.models.moce_ir_light.model import MoCEIRLight
from pixperts.models.moeisr_light.color import bound_color
from pixperts.models.moeisr_light.field import pixels_below
from pixperts.models.moeisr_light.model import MoEISRLight
from pixperts.models.moeisr_photo.model import MoEISRPhoto
from pixperts.ops.resize import LANCZOS, resized_part
from pixperts.ops.windows import Part, Window

LARGEST = 12  # the largest factor that is exported


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
        """The result of the network itself."""
        return (self.model.encode(image),)


class LightForm(Form):
    """moeisr-light at a factor p/q: its field becomes one convolution and a pixel shuffle.

    For a fractional factor, these give the picture at the next whole factor, which is then reduced.
    The result has those pixels whose centers lie on the picture.

    Args:
        model: the network.
        scale: p/q.
        expert: number of the expert that refines all features; 0 leaves them as they are.
    """

    outputs = ("enlarged",)

    def __init__(self, model: MoEISRLight, scale: Fraction, expert: int) -> None:
        super().__init__()
        self.model, self.p, self.q = model, scale.numerator, scale.denominator
        self.step, self.expert = self.q, expert
        self.whole = -(-self.p // self.q)  # the next whole factor
        # Taps of the reduction: sides that q does not divide are reduced by a little more or less.
        most = max(self.whole * side / self._length(side) for side in range(1, self.q + 1))
        self.taps = 0 if self.q == 1 else math.ceil(2 * LANCZOS.reach * most) + 1
        self.label = self.summary = f"x{float(scale):g}"
        if len(model.costs) > 1:
            self.label += f"_e{expert}"
            self.summary += f" with expert {expert}"
        with torch.no_grad():
            kernel, bias = model.field.folded(self.whole, self.whole)
        self.register_buffer("kernel", kernel, persistent=False)
        self.register_buffer("bias", bias, persistent=False)

    kernel: Tensor  # (3 * whole * whole, C, 3, 3)
    bias: Tensor  # (3 * whole * whole,)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, h, w) in [0, 1] -> (B, 3, H, W) in [0, 1]."""
        phases = F.conv2d(
            self._refined(self.model.encode(image)), self.kernel, self.bias, padding=1
        )
        result = F.pixel_shuffle(phases, self.whole)
        result = result + self._repeated(self._repeated(image, 2), 3)
        sides = self._length(image.shape[2]), self._length(image.shape[3])
        if self.q > 1:
            # The sides at the whole factor, from the input: the graph does not know those of
            # `result`.
            fine = image.shape[2] * self.whole, image.shape[3] * self.whole
            result = reduced(result, 3, fine[1], sides[1], self.taps)
            result = reduced(result, 2, fine[0], sides[0], self.taps)
        if self.model.config.bounded_color:
            rows, columns = (
                self._below(side, image.shape[axis], image)
                for axis, side in enumerate(sides, start=2)
            )
            result = bound_color(result, image, rows, columns)
        return result.clamp(0, 1)

    def reference(self, image: Tensor) -> Sequence[Tensor]:
        """The result of the parts of the network itself.

        It is that of the network at the same size, except for pictures so small that their rounded
        sides are multiples of a whole factor below p/q.
        """
        height, width = image.shape[2:]
        size = self._length(height), self._length(width)
        fine = height * self.whole, width * self.whole
        features = self.model.encode(image)
        if self.model.mapper is not None:
            chosen = torch.full((len(image), height, width), self.expert)
            features = self.model.refine(features, chosen)
        found: Tensor = self.model.field(features, image, fine)
        part = Part(Window(0, size[0], 0, size[1]), Window(0, fine[0], 0, fine[1]), fine)
        found = resized_part(found, size, part, LANCZOS)
        if self.model.config.bounded_color:
            found = bound_color(found, image, *pixels_below(image, size, None))
        return (found.clamp(0, 1),)

    def _refined(self, features: Tensor) -> Tensor:
        """All features by the one expert."""
        if self.model.experts is None or self.expert == 0:
            return features
        shared = F.relu(self.model.experts.shared(features)).permute(0, 2, 3, 1)
        more: Tensor = self.model.experts.experts[self.expert - 1](shared)
        return features + more.permute(0, 3, 1, 2)

    # In the following functions a side may be a symbol of the graph, see `form`.

    def _length(self, side: int) -> int:
        """Pixels of the result whose centers lie on the picture."""
        return side * self.p if self.q == 1 else (2 * side * self.p + self.q - 1) // (2 * self.q)

    def _repeated(self, image: Tensor, axis: int) -> Tensor:
        """Each row or column as often as the whole factor says."""
        places = torch.arange(image.shape[axis] * self.whole, device=image.device)
        return image.index_select(axis, torch.div(places, self.whole, rounding_mode="floor"))

    def _below(self, length: int, side: int, image: Tensor) -> Tensor:
        """The LR row or column below each of the result."""
        places = torch.arange(length, device=image.device)
        return torch.div((2 * places + 1) * side, 2 * length, rounding_mode="floor")


def reduced(image: Tensor, axis: int, length: int, result: int, taps: int) -> Tensor:
    """Reduce one axis by the kernel of Lanczos, as `resized_part`, in operations of a graph.

    Args:
        image: (B, C, H, W).
        axis: 2 or 3.
        length: of the axis; like the next one, it may be a symbol of the graph.
        result: number of pixels of the result along the axis.
        taps: number of pixels that each pixel of the result is a sum of.

    Example:
        >>> from pixperts.ops.resize import LANCZOS, resized_part
        >>> from pixperts.ops.windows import Part, Window
        >>> image = torch.rand(1, 3, 9, 4)
        >>> part = Part(Window(0, 7, 0, 4), Window(0, 9, 0, 4), (9, 4))
        >>> known = resized_part(image, (7, 4), part, LANCZOS)
        >>> torch.allclose(reduced(image, 2, 9, 7, 8), known, atol=1e-5)
        True
    """
    ends = (2 * torch.arange(result, device=image.device) + 1) * length  # in halves of 1 / result
    below = torch.div(ends, 2 * result, rounding_mode="floor")
    center = (ends - below * (2 * result)).float() / (2 * result)  # from there, in [0, 1)
    wide = torch.ones_like(center) * length / result
    first = torch.floor(center - LANCZOS.reach * wide + 0.5)
    places, weights = [], []
    for tap in range(taps):
        place = below + (first + tap).long()
        weight = LANCZOS.weights(((first + tap + 0.5 - center) / wide).abs())
        inside = (place >= 0) & (place < length)
        weights.append(torch.where(inside, weight, torch.zeros_like(weight)))
        places.append(place.clamp(min=0).clamp(max=length - 1))
    total = torch.stack(weights).sum(dim=0)
    shape = (1, 1, 1, -1) if axis == 3 else (1, 1, -1, 1)
    parts = (
        image.index_select(axis, place) * (weight / total).reshape(shape)
        for place, weight in zip(places, weights, strict=True)
    )
    return sum(parts, start=torch.zeros(1, device=image.device))


def form_of(
    model: Network,
    name: str,
    scale: float | None = None,
    experts: Sequence[int] | None = None,
    part: str | None = None,
) -> Form:
    """The form in which a network is written.

    Args:
        model: the network.
        name: of it, for messages.
        scale: factor of enlargement; None for the encoder, and for models that repair.
        experts: numbers of the experts that all pixels take: one for a model that enlarges (None =
            the most expensive one, and of moeisr-photo the network for photos), or one for each
            block of a model that repairs (None = all are in the graph, and each picture takes those
            that its routers choose).
        part: of `REPAIR_PARTS`, of a model that repairs, or `JUDGE`, of moeisr-photo; None = all in
            one graph.

    Raises:
        UsageError: a scale, a part or experts that a fixed graph cannot have.
    """
    if isinstance(model, UpscalingNetwork):
        if part == JUDGE and isinstance(model, MoEISRPhoto):
            if scale is not None or experts is not None:
                raise UsageError(
                    f"the judge serves all scales and experts: leave {named('scale')} and "
                    f"{named('expert')} out."
                )
            return JudgeForm(model)
        if part is not None:
            raise UsageError(_no_part(model, name, part))
        return _enlarging(model, name, scale, experts)
    if scale is not None:
        raise UsageError(f"{name} repairs at the picture's own size: leave {named('scale')} out.")
    if isinstance(model, MoCEIR):
        if part is not None or experts is not None:
            raise UsageError(
                f"{name} looks at all pixels in every block, so its export is one graph with all "
                f"experts, for whole pictures: leave {named('part')} and {named('expert')} out, or "
                "use "
                "moce-ir-light."
            )
        return FaithfulForm(model)
    assert isinstance(model, MoCEIRLight)
    if experts is not None:
        blocks = len(model.mixtures)
        if len(experts) != blocks or not all(0 <= one < EXPERTS for one in experts):
            raise UsageError(
                f"{named('expert')} must name one of the experts 0 to {EXPERTS - 1} for each of "
                "the "
                f"{blocks} blocks of {name}, such as {','.join(['1'] * blocks)}."
            )
        if part in ("scout", "tone"):
            raise UsageError(f"the {part} has no experts: leave {named('expert')} out.")
    chosen = None if experts is None else tuple(experts)
    if part is None:
        return WholeForm(model, chosen)
    if part == "detail":
        return DetailForm(model, chosen)
    if part not in REPAIR_PARTS:
        raise UsageError(
            f"{named('part')} is {part!r}, but must be one of {', '.join(REPAIR_PARTS)}."
        )
    return ScoutForm(model) if part == "scout" else ToneForm(model)


def _no_part(model: UpscalingNetwork, name: str, part: str) -> str:
    """Why a model that enlarges has no such part."""
    if isinstance(model, MoEISRPhoto):
        return f"{named('part')} is {part!r}, but {name} has only the part {JUDGE}."
    if part == JUDGE:
        return f"{named('part', JUDGE)} is for moeisr-photo: leave it out."
    return f"{named('part')} is for models that repair, and {name} enlarges."


def _enlarging(
    model: UpscalingNetwork, name: str, scale: float | None, experts: Sequence[int] | None
) -> Form:
    """An encoder, or a whole network at a factor."""
    if isinstance(model, PairedNetwork):
        return _of_pair(model, name, scale, experts)
    if scale is None:
        if experts is not None:
            raise UsageError(
                f"an encoder has no experts: leave {named('expert')} out, or give {named('scale')}."
            )
        return EncoderForm(model)
    if not isinstance(model, MoEISRLight):
        raise UsageError(
            f"{name} chooses an expert for each pixel, which a fixed graph cannot do: leave "
            f"{named('scale')} out for its encoder, or take moeisr-photo or moeisr-light."
        )
    last = len(model.costs) - 1
    if experts is None:
        return LightForm(model, _ratio(scale), last)
    given = ",".join(map(str, experts))
    if len(experts) != 1 or not 0 <= experts[0] <= last:
        there = "has a single expert, 0" if last == 0 else f"has the experts 0 to {last}"
        raise UsageError(f"{named('expert')} is {given}, but {name} {there}.")
    return LightForm(model, _ratio(scale), experts[0])


def _of_pair(
    model: PairedNetwork, name: str, scale: float | None, experts: Sequence[int] | None
) -> Form:
    """The same of one network of several; of the first one if there is no number."""
    number = 0 if experts is None else experts[0]
    if experts is not None and (len(experts) != 1 or not 0 <= number < len(model.members)):
        there = " and ".join(f"{n} ({member})" for n, member in enumerate(model.members))
        given = ",".join(map(str, experts))
        raise UsageError(f"{named('expert')} is {given}, but {name} has the experts {there}.")
    form = _enlarging(model.networks[number], name, scale, None)
    if number:
        form.label += f"_{model.members[number]}"
        form.summary += f" of its network for {model.members[number]} pictures"
    return form


def _ratio(scale: float) -> Fraction:
    """A factor as a fraction of small whole numbers.

    >>> _ratio(2.5), _ratio(4.0)
    (Fraction(5, 2), Fraction(4, 1))
    """
    if not 0 < scale <= LARGEST:
        raise UsageError(
            f"{named('scale')} is {scale:g}, but must be above 0 and be at most {LARGEST}."
        )
    ratio = Fraction(repr(float(scale)))
    if ratio < 1:
        raise UsageError(
            f"{named('scale')} is {scale:g}, but an exported model enlarges: give 1 or more."
        )
    return ratio
