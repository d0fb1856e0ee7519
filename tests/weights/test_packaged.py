"""The weights inside the package do what their cards say."""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from pixperts.data.benchmarks import SuperResolutionSet
from pixperts.data.image_files import read_photo
from pixperts.data.photos import load_photos
from pixperts.degradations.tasks import degrade, draw_parameters
from pixperts.errors import UnknownModelError, UsageError
from pixperts.evaluation.metrics import psnr
from pixperts.evaluation.photo_cases import photo_pair
from pixperts.evaluation.repair_cases import UNTOUCHED, repair_pair, small_pair
from pixperts.evaluation.upscaling import evaluate_upscaling
from pixperts.inference.enhancer import Enhancer
from pixperts.inference.findings import RepairSettings
from pixperts.inference.restorer import Restorer
from pixperts.inference.upscaler import Upscaler
from pixperts.io.image import list_images
from pixperts.models.moce_ir.motion import SURE_OF_MOTION
from pixperts.ops.resize import bicubic, quantize
from pixperts.weights import store
from pixperts.weights.catalogue import list_models
from pixperts.weights.packaged import packaged_models, weights_file
from tests.helpers.moce_models import moce_ir
from tests.helpers.places import BENCH, EXAMPLES

UPSCALERS = ["liif-edsr", "moeisr-light", "moeisr-liif-edsr", "moeisr-photo", "moeisr-tiny"]
REPAIRERS = ["moce-ir-light", "moce-ir-tiny"]
BOTH = "moce-isr-light"  # repairs and enlarges
needs_bench = pytest.mark.skipif(not BENCH.is_dir(), reason="needs ../shared/data/bench")


def test_packaged_are_these() -> None:
    assert sorted(packaged_models()) == ["liif-edsr", *REPAIRERS, BOTH, *UPSCALERS[1:]]


def test_models_are_files_here() -> None:
    for url in ("s3://models/mine.safetensors", "https://example.org/mine.safetensors"):
        with pytest.raises(UnknownModelError, match=f"^{url} is a URL, but models are files of"):
            weights_file(url)
    path = packaged_models()["moeisr-tiny"]
    assert weights_file(path.as_uri()) == path


@pytest.mark.slow
def test_every_card_is_complete() -> None:
    for name, path in packaged_models().items():
        card = store.read_card(path)
        assert card.name == name
        assert "unknown" not in (card.license, card.data)
        assert card.notes["quality"]
        assert card.notes["protocol"]
        assert (EXAMPLES.parent / "docs" / "models" / f"{name}.md").is_file()
        assert path.stat().st_size < 2.1e7
    for entry in list_models():
        assert entry.trained == bool(entry.quality)


@needs_bench
@pytest.mark.slow
def test_photos_are_enlarged_as_the_card_says() -> None:
    """Those of CID22-val, reduced by 4 and compressed (synthetic), none below bicubic."""
    claimed = store.read_card(packaged_models()["moeisr-photo"]).notes["quality"]
    model = Upscaler.load("moeisr-photo", device="cpu")
    scores = []
    for path in list_images(BENCH / "CID22-val"):
        lr, photo = photo_pair(path, 4, "jpeg75")
        size = (photo.shape[1], photo.shape[2])
        result = quantize(model.upscale(lr, size=size[::-1]))
        plain = psnr(quantize(bicubic(lr, size)), photo, "y-shave", 4)
        scores.append(psnr(result, photo, "y-shave", 4))
        assert scores[-1] > plain
    mean = sum(scores) / len(scores)
    assert mean == pytest.approx(claimed["CID22-val x4 jpeg75"], abs=0.01)


@needs_bench
@pytest.mark.slow
def test_photos_are_repaired_and_enlarged_as_the_card_says() -> None:
    """Those of CID22-val, reduced by 4, with noise of sigma 15 (synthetic)."""
    claimed = store.read_card(packaged_models()[BOTH]).notes["quality"]
    model, scores = Enhancer.load(device="cpu"), []
    assert model.name == BOTH
    for seed, path in enumerate(list_images(BENCH / "CID22-val")):
        small, photo = small_pair(read_photo(path).float() / 255, 4, "noise15", seed)
        result = quantize(model.enhance(small, size=(photo.shape[2], photo.shape[1])))
        scores.append(psnr(result, photo, "rgb"))
    mean = sum(scores) / len(scores)
    assert mean == pytest.approx(claimed["CID22-val x4 noise15"], abs=0.02)


def test_a_loaded_model_enhances() -> None:
    image = np.asarray(Image.open(EXAMPLES / "budgie.jpg").crop((100, 100, 148, 140)))
    result = Restorer.load(BOTH, device="cpu").enhance(image, scale=1.5)
    assert np.array_equal(result, Enhancer.load(device="cpu").enhance(image, scale=1.5))
    with pytest.raises(UsageError, match="moce-ir-light only repairs: name a model that enlarges"):
        Restorer.load("moce-ir-light", device="cpu").enhance(image)


def test_one_network_holds_the_one_that_repairs() -> None:
    """And does not store it again."""
    path, repairs = packaged_models()[BOTH], store.load(packaged_models()["moce-ir-light"])[0]
    assert all(key.startswith("enlarger.") for key in load_file(path))
    own = store.load(path)[0].state_dict()
    for key, value in repairs.state_dict().items():
        assert torch.equal(own[key], value), key


@needs_bench
@pytest.mark.parametrize("name", [name for name in UPSCALERS if name != "moeisr-photo"])
@pytest.mark.slow
def test_set5_at_x4_is_as_the_card_says(name: str) -> None:
    claimed = store.read_card(packaged_models()[name]).notes["quality"]["Set5 x4"]
    bench = SuperResolutionSet.open(BENCH / "Set5")
    score = evaluate_upscaling(Upscaler.load(name, device="cpu"), bench, scales=[4.0])[0]
    assert score.psnr == pytest.approx(claimed, abs=0.006)
    if name == "liif-edsr":  # measured with the authors' code
        assert score.psnr == pytest.approx(32.24, abs=0.01)


@pytest.mark.slow
def test_the_dearest_expert_is_the_published_decoder() -> None:
    photo = Image.open(EXAMPLES / "budgie.jpg").crop((100, 100, 148, 140))
    published = Upscaler.load("liif-edsr", device="cpu").upscale(photo, scale=2.5)
    mixture = Upscaler.load("moeisr-liif-edsr", device="cpu").upscale(photo, scale=2.5, budget=1.0)
    first, second = (np.asarray(picture, dtype=int) for picture in (published, mixture))
    assert np.abs(first - second).max() <= 1  # chunks of another size round differently
    assert (first != second).mean() < 0.001


@pytest.mark.parametrize("name", REPAIRERS)
@pytest.mark.slow
def test_the_repair_gains_on_the_sample_photos(name: str) -> None:
    """Synthetic degradations of the middle of photos that were not in the training."""
    photos = [photo.float().div(255)[:, 60:252, 100:292] for photo in load_photos([EXAMPLES])]
    restorer = Restorer.load(name, device="cpu")
    for task, gain in (("noise25", 6.0), ("low_light", 2.0), ("rain", 2.0), ("blur", 0.8)):
        gains = []
        for seed, clean in enumerate(photos):
            degraded = degrade(clean, task, seed)
            after = psnr(torch.as_tensor(restorer.restore(degraded)), clean, "rgb")
            gains.append(after - psnr(degraded, clean, "rgb"))
        assert sum(gains) / len(gains) > gain, (task, gains)


@pytest.mark.parametrize("case", UNTOUCHED)
@pytest.mark.slow
def test_good_pictures_stay(case: str) -> None:
    """Photos, drawings and others that look as if they were degraded."""
    restorer = Restorer.load("moce-ir-light", device="cpu")
    scores = []
    for seed, photo in enumerate(load_photos([EXAMPLES])[2:], start=2):
        clean, _ = repair_pair(photo.float().div(255)[:, 60:252, 100:292], case, seed)
        repaired, repair = restorer.repair(clean)
        scores.append(psnr(torch.as_tensor(repaired), clean, "rgb"))
        assert repair.findings is not None
        assert not any(repair.findings.undone.values())
    assert min(scores) > 35  # letters of seven pixels lose most
    assert sum(scores) / len(scores) > 44


@pytest.mark.slow
def test_dust_is_removed_where_that_is_wanted() -> None:
    restorer = Restorer.load("moce-ir-light", device="cpu")
    gains = []
    for seed, photo in enumerate(load_photos([EXAMPLES])):
        clean = photo.float().div(255)[:, 60:252, 100:292]
        dusty = degrade(clean, "scratches", seed)
        result, repair = restorer.repair(dusty, RepairSettings(dust=1.0))
        gains.append(psnr(torch.as_tensor(result), clean, "rgb") - psnr(dusty, clean, "rgb"))
        assert repair.findings is not None
        assert 0 < repair.findings.dust < 0.05
    assert sum(gains) / len(gains) > 1
    assert sorted(gains)[1] > 0.3  # the holes of a circuit board are taken for dust


@pytest.mark.slow
def test_motion_is_seen_where_there_is_some() -> None:
    """Length and angle to a pixel, and none in photos as they are or spoilt in other ways."""
    repairer = moce_ir(Restorer.load("moce-ir-tiny", device="cpu").model)
    assert repairer.motion is not None
    seen = 0
    for seed, photo in enumerate(load_photos([EXAMPLES])):
        clean = photo.float() / 255
        drawn = draw_parameters("blur", seed)["blur"]
        motion = repairer.motion.estimate(degrade(clean, "blur", seed)[None])
        seen += int(motion.none < SURE_OF_MOTION)
        found, true = (
            length * np.exp(1j * np.radians(angle))
            for length, angle in (
                (float(motion.length), float(motion.angle)),
                (drawn["length"], drawn["angle"]),
            )
        )
        assert min(abs(found - true), abs(found + true)) < 1.0
        for task in ("noise25", "rain", "haze", "low_light", "snow", "jpeg", "defocus"):
            assert (
                float(repairer.motion.estimate(degrade(clean, task, seed)[None]).none)
                > SURE_OF_MOTION
            )
        assert float(repairer.motion.estimate(clean[None]).none) > SURE_OF_MOTION
    assert seen >= 2  # of four small photos; of validation photos 39 of 41


def test_the_list_of_models_says_what_they_do() -> None:
    does = {entry.name: entry.does for entry in list_models() if entry.trained}
    assert does == {
        **dict.fromkeys(UPSCALERS, "enlarge"),
        **dict.fromkeys(REPAIRERS, "repair"),
        BOTH: "both",
    }
