"""moce-ir-light: MoCE-IR (arXiv 2411.18466) of plain convolutions, made for ordinary processors.

Depthwise convolutions, layer norms and attention over all pixels run at a tenth of the rate of
plain convolutions on a CPU. Here a U-shaped network of 3x3 residual blocks works on the picture
unshuffled by 2, at 1/2, 1/4 and 1/8 of its sides. What stays of the paper: a shared expert beside
one of several of growing complexity, which a router picks for the whole picture, and a preference
for the cheap. The first expert is none, so that what is not needed is not computed.

Three things are new. All that the routers know of the whole picture comes from a scout, so that one
pass suffices and tiles, given its sums, equal the whole. The change of detail keeps the mean color
of each region (`regions`). And light and color are the matter of a head of its own (`tone`).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor

from pixperts.defaults import ToneMode
from pixperts.errors import UsageError
from pixperts.models.moce_ir.motion import Motion, cepstrum_sums, without
from pixperts.models.moce_ir.statistics import Statistics
from pixperts.models.moce_ir_light.choices import (
    of_pictures,
    spread_pins,
    sureness,
    without_experts,
)
from pixperts.models.moce_ir_light.config import PARTS, UNSHUFFLE
from pixperts.models.moce_ir_light.regions import keep_means
from pixperts.models.moce_ir_light.tone import FAULTS, Tone, count_levels
from pixperts.models.moce_ir_light.trunk import LightTrunk
from pixperts.models.output import Output
from pixperts.ops.windows import Window
from pixperts.routing import Routing

_DARK = FAULTS.index("dark")


class Seen(NamedTuple):
    """Inputs for a network that continues a repair, beside the repaired picture."""

    features: Tensor  # (B, C, h, w) at 1/2, of `LightTrunk.features`; 0 where no layer ran
    removed: Tensor  # (B, 3, H, W) what the repair of detail takes away where it is sure

    def without(self, idle: Tensor) -> "Seen":
        """Nothing of some pictures (B,), for which no layer had to run."""
        return Seen(*(value.masked_fill(idle[:, None, None, None], 0) for value in self))


class MoCEIRLight(LightTrunk):
    """Restoration by plain convolutions and experts that a router picks for each picture.

    Example:
        >>> from pixperts.models.moce_ir_light.config import MoCEIRLightConfig
        >>> small = MoCEIRLightConfig(channels=(8, 8, 8), expert_widths=(8, 8))
        >>> output = MoCEIRLight(small).eval()(torch.rand(2, 3, 9, 13))
        >>> output.image.shape, len(output.routings), output.routings[0].experts.shape
        (torch.Size([2, 3, 9, 13]), 4, torch.Size([2, 1]))
    """

    light_faults: ClassVar[tuple[str, ...]] = FAULTS

    def forward(self, image: Tensor, **choices: Any) -> Output:
        """Restore; arguments as of `look`.

        For pictures in which the scout finds no fault of detail, only the scout and the stages
        before the first block run: nothing of another change would be taken.

        Returns:
            Image (B, 3, H, W) around [0, 1], unclamped; a `Routing` for each block with experts.
        """
        return self._look(image, **choices)[0]

    def look(self, image: Tensor, **choices: Any) -> tuple[Output, Seen]:
        """Restore, and say what that was made from.

        The layers run for pictures of which a change of detail is taken, by `config.sure`, even if
        `enlarged` then takes less of it.

        Args:
            image: (B, 3, H, W) in [0, 1], any size from 1x1; mirrored inside to multiples of
                `config.multiple`.
            choices: noise: of the routers, in training mode only: drawn from this generator, or
                from torch's own (True, the default), or left out (False), or given: (blocks, B, J)
                standard normal numbers. Never any in evaluation mode.
                pinned: routings of an earlier pass, one for each block, to be used again; for one
                picture or for as many as there are.
                masked: run every expert on every picture and mask (slow; the oracle of the tests).
                statistics: see `count`, of the whole pictures of which the images are tiles; of
                the images themselves when None.
                motion: whether straight motion blur is undone where there is some (True).
                amounts: of the `PARTS` of the change of detail, 0 to 1; 1 for all when None.
                enlarged: whether the result is enlarged afterwards, see `config.sure_enlarged`
                and `config.sure_weather`.
                brightened: (B,) how much of the darkness is undone by others, 0 to 1.
                dust: how much of dust and scratches is removed, 0 (none) to 1.
                tone: undo darkness and haze: never ("off", the default), where the tone head is
                sure of them ("auto"), or in any case ("on").
                place: (top, left) of the images in the whole pictures.
                whole: (height, width) of those; None = the images are whole.

        Raises:
            UsageError: for an empty or misshapen image, pinned routings that do not fit, or dust
                that the network has no stage to remove.
        """
        output, seen = self._look(image, show=True, **choices)
        assert seen is not None
        return output, seen

    def _look(
        self,
        image: Tensor,
        *,
        show: bool = False,
        noise: bool | torch.Generator | Tensor = True,
        pinned: Sequence[Routing] | None = None,
        masked: bool = False,
        statistics: Statistics | None = None,
        motion: bool = True,
        amounts: Sequence[float] | None = None,
        enlarged: bool = False,
        brightened: Tensor | None = None,
        dust: float = 0.0,
        tone: ToneMode = "off",
        place: tuple[int, int] = (0, 0),
        whole: tuple[int, int] | None = None,
    ) -> tuple[Output, Seen | None]:
        """`look`; what was seen is gathered only to `show` it."""
        if image.dim() != 4 or image.shape[1] != 3 or image.numel() == 0:
            raise UsageError(f"image has shape {tuple(image.shape)}, but must be (B, 3, H, W).")
        statistics = statistics or self.count(image)
        embedding = self.scout(statistics).expand(len(image), -1)
        marks: Tensor | None = None
        if (
            dust
        ):  # it lies on the picture; the scout has judged that with it, as tiles share its sums
            image, marks = self.unmarked(image, dust)
        moved: Motion | None = None
        if self.motion is not None and motion:
            moved = self.motion.read(statistics.places[3])
            image = without(image, Motion(*(value.expand(len(image)) for value in moved)))
        options: dict[str, Any] = {"noise": noise, "pinned": pinned, "masked": masked}
        found, shares = None, None
        if tone != "off":
            found = self.judge(statistics)
            shares = found.amounts(tone)
        taken, run = self._wanted(embedding, shares, enlarged, brightened)
        idle = (run if show else taken) == 0
        some = bool(idle.any())
        given = image, embedding, taken, amounts
        if self.output.training or masked or not some:
            output, seen = self._repaired(*given, show=show, **options)
            if seen is not None and some:
                seen = seen.without(idle)
        else:
            output, seen = self._spared(*given, pinned, idle, show=show)
        if moved is not None:
            first = replace(output.routings[0], motion=torch.stack(moved, dim=1))
            output = output._replace(routings=(first, *output.routings[1:]))
        if marks is not None:
            first = replace(output.routings[0], marks=marks)
            output = output._replace(routings=(first, *output.routings[1:]))
        if found is None or shares is None:
            return output, seen
        toned = self.tone.apply_to(output.image, found, shares, place, whole)
        light = torch.stack([found.probabilities, shares], dim=2)
        return output._replace(image=toned, light=light), seen

    def judge(self, statistics: Statistics) -> Tone:
        """The judgment of the tone head on darkness and haze of whole pictures."""
        return cast(Tone, self.tone(self.scout.overview(statistics), statistics.places[2][0]))

    def count(
        self,
        image: Tensor,
        inner: Window | None = None,
        place: tuple[int, int] = (0, 0),
        whole: tuple[int, int] | None = None,
    ) -> Statistics:
        """Sums over a picture or a tile of it: those of `Scout.count`, and histograms of levels."""
        sums = self.scout.count(image, inner, place, whole)
        top, bottom, left, right = inner or Window(0, image.shape[2], 0, image.shape[3])
        shown = image[:, :, top:bottom, left:right].float()
        start = place[0] + top, place[1] + left
        levels = count_levels(shown, start, whole or (image.shape[2], image.shape[3]))
        places = (*sums.places, (levels,))
        if self.motion is not None:
            places += (cepstrum_sums(image, inner),)
        return Statistics(places)

    def repair(
        self,
        image: Tensor,
        embedding: Tensor,
        *,
        noise: bool | torch.Generator | Tensor = True,
        pinned: Sequence[Routing] | None = None,
        masked: bool = False,
        amounts: Sequence[float] | None = None,
        brightened: Tensor | None = None,
    ) -> Output:
        """`forward` with what the scout says of each picture, (B, E); without the tone head.

        `amounts` are those of the `PARTS`; 1 for all when None. `brightened` (B,) says how much of
        the darkness is undone afterwards.
        """
        options: dict[str, Any] = {"noise": noise, "pinned": pinned, "masked": masked}
        taken = self._taken(embedding)
        if brightened is not None:
            taken = torch.maximum(taken, brightened.to(taken.dtype))
        return self._repaired(image, embedding, taken, amounts, **options)[0]

    def _repaired(
        self,
        image: Tensor,
        embedding: Tensor,
        taken: Tensor,
        amounts: Sequence[float] | None,
        *,
        show: bool = False,
        **options: Any,
    ) -> tuple[Output, Seen | None]:
        features, routings = self.features(image, embedding, **options)
        parts = proposed = self.parts_of(features, image, embedding, routings)
        sizes = None
        if not self.scout.training:  # it judges only once it is trained
            parts = parts * taken.to(parts.dtype)[:, None, None, None, None]
            sizes = parts.square().mean(dim=(2, 3, 4))  # (B, P)
        changed = self.changed(image, parts, amounts)
        seen = None
        if show:
            whole = changed if bool((taken == 1).all()) else self.changed(image, proposed, amounts)
            seen = Seen(features, image - whole)
        return Output(changed, routings, sizes), seen

    def _taken(
        self, embedding: Tensor, noise: Sequence[float] = (), weather: Sequence[float] = ()
    ) -> Tensor:
        """(B,) the share of a change of detail that is taken: all while the scout is trained.

        `noise` is a span for noise and compression in place of `config.sure`, `weather` one for
        rain and snow.
        """
        if self.scout.training:
            return torch.ones(len(embedding), device=embedding.device)
        found = self.scout.groups(embedding).sigmoid()
        return sureness(found, self.config.sure, self.config.sure_marks, noise, weather)

    def _wanted(
        self,
        embedding: Tensor,
        shares: Tensor | None,
        enlarged: bool,
        brightened: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """How much of a change of detail is taken (B,), and more than 0 where layers have to run.

        Args:
            embedding: (B, E) of the scout.
            shares: (B, F) of the changes of light that are undone, if any.
            enlarged: as of `look`.
            brightened: as of `look`.
        """
        if shares is not None:
            own = shares[:, _DARK]
            brightened = own if brightened is None else torch.maximum(brightened, own)
        usual = self._taken(embedding)
        taken = usual
        if enlarged:
            careful = self._taken(embedding, self.config.sure_enlarged, self.config.sure_weather)
            lit = torch.zeros_like(taken, dtype=torch.bool)
            if brightened is not None:
                lit = brightened > 0
            if shares is not None:
                lit = lit | (shares > 0).any(dim=1)
            taken = torch.where(lit, taken, careful)
        if brightened is not None:  # what is brightened shows its noise
            taken = torch.maximum(taken, brightened.to(taken.dtype))
        return taken, torch.maximum(usual, taken)

    def _spared(
        self,
        image: Tensor,
        embedding: Tensor,
        taken: Tensor,
        amounts: Sequence[float] | None,
        pinned: Sequence[Routing] | None,
        idle: Tensor,
        *,
        show: bool = False,
    ) -> tuple[Output, Seen | None]:
        """What `_repaired` gives; its layers do not run for pictures that are `idle` (B,)."""
        pins = spread_pins(pinned, len(self.mixtures), len(image))
        routings = []
        for block, pin, name in zip(self.mixtures, pins, self.block_names, strict=True):
            routing = pin or block.route(embedding, None, name)
            routings.append(without_experts(routing, idle))
        sizes = image.new_zeros(len(image), len(PARTS), dtype=torch.float32)
        seen = self._nothing_seen(image) if show else None
        active = torch.nonzero(~idle).squeeze(1)
        if len(active):
            own = [of_pictures(routing, active) for routing in routings]
            given = image[active], embedding[active], taken[active]
            found, shown = self._repaired(*given, amounts, pinned=own, show=show)
            assert found.changes is not None
            image = image.index_copy(0, active, found.image)
            sizes = sizes.index_copy(0, active, found.changes.float())
            if seen is not None and shown is not None:
                seen = Seen(
                    *(
                        a.to(b.dtype).index_copy(0, active, b)
                        for a, b in zip(seen, shown, strict=True)
                    )
                )
        return Output(image, tuple(routings), sizes), seen

    def _nothing_seen(self, image: Tensor) -> Seen:
        """What is seen of pictures for which no layer runs."""
        multiple = self.config.multiple
        sides = [-(-side // multiple) * multiple // UNSHUFFLE for side in image.shape[2:]]
        channels = self.config.channels[0]
        features = self.head.weight.new_zeros(len(image), channels, *sides)
        return Seen(features.contiguous(memory_format=torch.channels_last), torch.zeros_like(image))

    def changed(
        self, image: Tensor, parts: Tensor, amounts: Sequence[float] | None = None
    ) -> Tensor:
        """(B, 3, H, W): a picture with its `changes` in some amounts; means of regions stay."""
        if amounts is None:
            residual = parts.sum(dim=1)
        else:
            shares = torch.tensor(tuple(amounts), dtype=parts.dtype, device=parts.device)
            residual = (parts * shares[:, None, None, None]).sum(dim=1)
        residual = keep_means(residual, self.config.cell, self.config.slack)
        return image + residual.to(image.dtype)
