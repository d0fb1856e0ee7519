"""benchmarks/enhance.py: each way is measured, and the worst photo named."""

import torch

from enhance import methods, row
from pixperts.inference.enhancer import Enhancer
from pixperts.inference.restorer import Restorer
from pixperts.inference.upscaler import Upscaler
from pixperts.weights import store
from tests.helpers.light_models import light
from tests.helpers.moce_models import mini
from tests.helpers.one_network import one_network


def test_a_row_has_each_way_and_the_worst_photo() -> None:
    restorer = Restorer(mini(), store.Card("mini", {}), device="cpu")
    upscaler = Upscaler(light(bounded_color=True), store.Card("light", {}), device="cpu")
    one = Enhancer(Restorer(one_network(), store.Card("one", {}), device="cpu"))
    ways = methods(restorer, [upscaler], one, 0.5)
    assert list(ways) == ["bicubic", "light", "repair, bicubic", "repair, light", "one"]
    seconds: dict[str, float] = {}
    levels = torch.randint(256, (2, 3, 24, 20), generator=torch.manual_seed(0))
    photos = list(levels.float() / 255)
    cells = [
        cell.strip() for cell in row("clean", 2.0, photos, ways, seconds).strip("|").split("|")
    ]
    assert cells[:2] == ["clean", "2"]
    assert len(cells) == 8
    assert len(set(cells[2:7])) > 2
    assert set(seconds) == set(ways)
    same = row("clean", 1.0, photos, ways, seconds).split("|")
    assert float(same[3]) == 100.0  # bicubic at scale 1 leaves the picture
