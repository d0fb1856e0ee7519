"""Models of several networks: which one a picture takes, however it comes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pixperts.errors import UsageError
from pixperts.inference.size_request import SizeRequest
from pixperts.inference.streams import ArraySink, ArraySource, FileSource
from pixperts.inference.upscaler import Upscaler
from pixperts.io.image import read_image, write_image
from pixperts.io.rows import RowReader
from pixperts.jobs.operations import Upscale
from pixperts.jobs.reports import UpscaleReport
from pixperts.jobs.run import run_folder
from pixperts.models.moeisr_photo.model import MoEISRPhoto
from pixperts.ops.windows import Window
from tests.helpers.folder_jobs import Recorder
from tests.helpers.light_models import light, paired
from tests.helpers.tiny_models import picture, same, upscaler

SIZE = (170, 96)  # width, height


def flat() -> Tensor:
    return 0.2 * picture(3, 60, 100) + 0.4


def rough() -> Tensor:
    return picture(3, 60, 100)


def model(**options: Any) -> Upscaler:
    return upscaler(paired(flat(), rough()), precision="float32", **options)


def networks(found: Upscaler) -> MoEISRPhoto:
    assert isinstance(found.model, MoEISRPhoto)
    return found.model


@pytest.mark.parametrize(("image", "member"), [(flat(), 0), (rough(), 1)])
@pytest.mark.parametrize("tile", [None, 32])
def test_a_picture_takes_one_network_in_all_tiles(
    image: Tensor, member: int, tile: int | None
) -> None:
    found = model(tile=tile)
    with torch.inference_mode():
        expected = networks(found).networks[member](image[None], SIZE[::-1]).image.clamp(0, 1)
    same(found.upscale(image, size=SIZE), expected[0])


def test_pictures_of_a_batch_take_each_their_own() -> None:
    found = model()
    shares: list[float] = []
    batch = torch.stack([flat(), rough(), flat()])
    result = found.upscale(batch, size=SIZE, progress=shares.append)
    for one, image in zip(result, batch, strict=True):
        same(one, found.upscale(image, size=SIZE))
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)


def test_estimates_do_not_depend_on_what_else_is_in_the_batch() -> None:
    found = model()
    batch = torch.stack([flat(), rough()])
    both = found.estimated_errors(ArraySource(batch), SIZE)
    assert both is not None
    for number in range(2):
        alone = found.estimated_errors(ArraySource(batch[number : number + 1]), SIZE)
        assert alone is not None
        assert torch.equal(both[number], alone[0])


def test_the_caller_may_decide() -> None:
    found = model()
    sink = ArraySink(1, 3, SIZE[1], SIZE[0])
    found.upscale_rows(ArraySource(rough()[None]), sink, SIZE, member=0)
    with torch.inference_mode():
        expected = networks(found).photo(rough()[None], SIZE[::-1]).image.clamp(0, 1)
    same(sink.image, expected)


def test_a_network_that_is_not_there_is_named() -> None:
    for number in (2, -1):
        sink = ArraySink(1, 3, SIZE[1], SIZE[0])
        with pytest.raises(UsageError, match=rf"member is {number}, but mine has the networks 0 "):
            model().upscale_rows(ArraySource(rough()[None]), sink, SIZE, member=number)


def test_one_odd_piece_does_not_decide_without_bound() -> None:
    found = networks(model())
    with torch.no_grad():
        found.judge.estimate.bias.fill_(800.0)
        assert found.errors(rough()[None], (2.0, 2.0)).tolist() == [6000.0, 6000.0]


def test_nothing_is_chosen_where_nothing_grows_or_there_is_one_network() -> None:
    source = ArraySource(flat()[None])
    assert model().estimated_errors(source, (50, 30)) is None
    assert upscaler(light()).estimated_errors(source, SIZE) is None


def test_a_side_that_shrinks_is_reduced_before_the_judgment() -> None:
    found, tall = model(), (50, 120)
    result = found.upscale(rough(), size=tall)
    assert result.shape == (3, 120, 50)
    errors = found.estimated_errors(ArraySource(rough()[None]), tall)
    assert errors is not None
    assert errors.isfinite().all()


def test_hidden_colors_are_not_judged() -> None:
    found = model()
    pixels = torch.cat([flat(), torch.ones(1, 60, 100)])
    pixels[3, :, 50:] = 0
    garbage = pixels.clone()
    garbage[:3, :, 60:] = rough()[:, :, 60:]
    one, other = (found.estimated_errors(ArraySource(p[None]), SIZE) for p in (pixels, garbage))
    assert one is not None
    assert other is not None
    torch.testing.assert_close(one, other)


def test_gray_pictures_are_judged_as_colors() -> None:
    found = model()
    gray = flat()[:1]
    one = found.estimated_errors(ArraySource(gray[None]), SIZE)
    other = found.estimated_errors(ArraySource(gray.expand(3, -1, -1)[None]), SIZE)
    assert one is not None
    assert other is not None
    assert torch.equal(one, other)


def test_a_file_is_judged_as_the_array_that_it_holds(tmp_path: Path) -> None:
    from PIL import Image

    levels = (picture(3, 700, 90) * 255).round().to(torch.uint8)
    Image.fromarray(levels.permute(1, 2, 0).numpy()).save(tmp_path / "a.png")
    found = model()
    array = found.estimated_errors(ArraySource(levels[None].float() / 255), SIZE)
    with FileSource(lambda: RowReader(tmp_path / "a.png")) as source:
        file = found.estimated_errors(source, SIZE)
        assert np.array_equal(source.rows(0, 5), levels[None, :, :5].float() / 255)  # rewound
    assert array is not None
    assert file is not None
    torch.testing.assert_close(array, file)


@pytest.mark.parametrize(("image", "network"), [(flat(), "photo"), (rough(), "clean")])
def test_the_report_names_the_network(tmp_path: Path, image: Tensor, network: str) -> None:
    levels = (image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    write_image(tmp_path / "a.png", levels)
    found, heard = model(), Recorder()
    run_folder(
        tmp_path / "a.png", tmp_path / "b.png", Upscale(SizeRequest(scale=2)), found, listener=heard
    )
    assert heard.errors == []
    report = heard.outcomes[0].report
    assert isinstance(report, UpscaleReport)
    assert report.network == network
    tensor = torch.from_numpy(levels).permute(2, 0, 1)
    made = torch.from_numpy(read_image(tmp_path / "b.png").pixels).permute(2, 0, 1)
    assert torch.equal(made, found.upscale(tensor, scale=2))


def test_windows_lie_in_the_picture() -> None:
    for window in networks(model()).places(700, 90):
        assert Window(*window).bottom <= 700
