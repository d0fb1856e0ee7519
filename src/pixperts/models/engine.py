"""Networks whose encoder can be computed by another runtime."""

from abc import abstractmethod
from collections.abc import Callable

from torch import Tensor

from pixperts.models.interfaces import Network, PairedNetwork, UpscalingNetwork


class EngineNetwork(UpscalingNetwork):
    """A network that enlarges, whose encoder another runtime may compute.

    Attributes:
        engine: computes `encode` in place of torch, see `inference.runtimes`; None for torch.
    """

    engine: Callable[[Tensor], Tensor] | None = None

    def encode(self, lr: Tensor, progress: Callable[[float], None] | None = None) -> Tensor:
        """Features, by `engine` if it is set: (B, 3, h, w) in [0, 1] -> (B, C, h, w)."""
        return self._encode(lr, progress) if self.engine is None else self.engine(lr)

    @abstractmethod
    def _encode(self, lr: Tensor, progress: Callable[[float], None] | None = None) -> Tensor:
        """`encode` in torch; `progress` may be called with the share that is done, 0 to 1."""


def engine_networks(model: Network) -> tuple[EngineNetwork, ...]:
    """The networks of a model whose encoders another runtime may compute; empty if there are none.

    Example:
        >>> engine_networks(Network())
        ()
    """
    parts = model.networks if isinstance(model, PairedNetwork) else (model,)
    return tuple(part for part in parts if isinstance(part, EngineNetwork))
