"""benchmarks/enhance.py: each way is measured, and the worst photo named."""

import torch

from enhance import methods, row
from pixperts.inference.restorer import Restorer
from pixperts.inference.upscaler import Upscaler
from pixperts.weights import store
from tests.helpers.light_models import light
from tests.helpers.moce_models import mini


def test_a_row_has_each_way_and_the_worst_photo() -> None:
    restorer = Restorer(mini(), store.Card("mini", {}), device="cpu")
    upscaler = Upscaler(light(bounded_color=True), store.Card("light", {}), device="cpu")
    ways = methods(restorer, [upscaler])
    assert list(ways) == ["bicubic", "light", "repair, bicubic", "repair, light"]
    levels = torch.randint(256, (2, 3, 24, 20), generator=torch.manual_seed(0))
    photos = list(levels.float() / 255)
    cells = [cell.strip() for cell in row("clean", 2.0, photos, ways).strip("|").split("|")]
    assert cells[:2] == ["clean", "2"]
    assert len(cells) == 7
    assert len(set(cells[2:6])) > 1
    same = row("clean", 1.0, photos, ways).split("|")
    assert float(same[3]) == 100.0  # bicubic at scale 1 leaves the picture
