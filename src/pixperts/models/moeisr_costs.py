"""What an enlargement by MoEISR costs, counted from the sizes of its layers."""

from torch import nn

from pixperts.models.config import Encoder
from pixperts.models.implicit import Embedding
from pixperts.models.mapper import Mapper


def multiply_adds_of_parts(
    encoder: Encoder,
    mapper: Mapper | None,
    embedding: Embedding,
    neck: nn.Module | None,
    light_embedding: Embedding | None,
    lr_size: tuple[int, int],
    size: tuple[int, int],
    mean: float,
    experts: int,
) -> dict[str, float]:
    """Multiply-adds of one picture.

    Args:
        encoder: of the model, as the other parts.
        mapper: None for a dense model.
        embedding: of the deepest expert.
        neck: None where all experts share the embedding.
        light_embedding: of the neck.
        lr_size: (h, w).
        size: output (H, W).
        mean: multiply-adds of an output pixel by its expert, on average.
        experts: how many there are.

    Returns:
        encoder, mapper, embedding and light (neck and its embedding) at LR resolution, experts
        at output resolution, total.
    """
    lr_pixels, pixels = float(lr_size[0] * lr_size[1]), float(size[0] * size[1])
    parts = {
        "encoder": encoder.multiply_adds_per_pixel() * lr_pixels,
        "mapper": 0.0,
        "embedding": embedding.multiply_adds_per_lr_pixel() * lr_pixels,
        "light": 0.0,
        "experts": mean * pixels,
    }
    if light_embedding is not None and neck is not None:
        weights = sum(m.weight.numel() for m in neck.modules() if isinstance(m, nn.Conv2d))
        parts["light"] = (light_embedding.multiply_adds_per_lr_pixel() + weights) * lr_pixels
    if mapper is not None:
        parts["mapper"] = mapper.multiply_adds_per_lr_pixel() * lr_pixels
        parts["mapper"] += 4.0 * experts * pixels
    parts["total"] = sum(parts.values())
    return parts
