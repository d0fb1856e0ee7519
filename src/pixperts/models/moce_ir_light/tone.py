"""The tone head: light and color of a whole picture, judged by its overview alone.

A coarse bilateral grid (Chen et al., SIGGRAPH 2007) of affine maps of colors, predicted from the
overview as in HDRNet (Gharbi et al., SIGGRAPH 2017) and sliced at full resolution. It starts as the
exact identity, and no layer that repairs detail reads or feeds it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixperts.ops.windows import Window

CELLS = 8  # of the grid along each side of the picture, and in lightness
_SEEN = 32  # side to which the overview is brought
_BAND = 256  # rows that are mapped at a time


class ToneHead(nn.Module):
    """Overview in, grid of affine maps out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [
                nn.Conv2d(3, width // 2 or 1, 3, padding=1),
                nn.Conv2d(width // 2 or 1, width, 3, stride=2, padding=1),
                nn.Conv2d(width, width, 3, stride=2, padding=1),
            ]
        )
        self.whole = nn.Linear(width, width)
        self.grid = nn.Conv2d(width, 12 * CELLS, 1)
        nn.init.zeros_(self.grid.weight)
        assert self.grid.bias is not None
        nn.init.zeros_(self.grid.bias)

    def forward(self, overview: Tensor) -> Tensor:
        """(B, 3, h, w) in [0, 1] -> (B, 12, lightness, rows, columns), of what is added."""
        x = F.adaptive_avg_pool2d(overview, _SEEN) - 0.5
        for layer in self.layers:
            x = F.relu(layer(x))
        x = F.relu(x + self.whole(x.mean(dim=(2, 3)))[:, :, None, None])
        grid: Tensor = self.grid(x)
        maps: Tensor = grid.unflatten(1, (12, CELLS))
        return maps

    def apply_to(
        self,
        image: Tensor,
        grid: Tensor,
        place: tuple[int, int] = (0, 0),
        whole: tuple[int, int] | None = None,
    ) -> Tensor:
        """Map the colors of a picture or a tile of it.

        Args:
            image: (B, 3, H, W).
            grid: of `forward`.
            place: (top, left) of the tile in the whole picture.
            whole: (height, width) of that; None = the image is all of it.
        """
        height, width = image.shape[2:]
        tall, wide = whole or (height, width)
        bands = []
        for top in range(0, height, _BAND):
            window = Window(top, min(top + _BAND, height), 0, width)
            colors = image[:, :, window.top : window.bottom]
            y = (torch.arange(*window[:2], device=image.device) + place[0] + 0.5) / tall
            x = (torch.arange(width, device=image.device) + place[1] + 0.5) / wide
            light = colors.detach().mean(dim=1).clamp(0, 1)  # (B, h, W)
            where = torch.stack(
                [
                    (2 * x - 1)[None, None, :].expand_as(light),
                    (2 * y - 1)[None, :, None].expand_as(light),
                    2 * light - 1,
                ],
                dim=-1,
            )
            maps = F.grid_sample(
                grid.float(), where[:, None].float(), padding_mode="border", align_corners=False
            )[:, :, 0].unflatten(1, (3, 4))  # (B, 3, 4, h, W)
            change = (maps[:, :, :3] * colors[:, None]).sum(dim=2) + maps[:, :, 3]
            bands.append(colors + change.to(colors.dtype))
        return torch.cat(bands, dim=2)
