"""The benchmark's plain MoCE-IR gives what our model gives, and the script runs end to end."""

import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pixperts.io.image import write_image
from pixperts.models.moce_ir.model import MoCEIR
from pixperts.models.moeisr.config import MoEISRConfig
from pixperts.models.moeisr.model import MoEISR
from pixperts.routing import Routing
from pixperts.weights import store
from plain_moce import PlainMoCE
from restore import FORMS, every_expert, main, plain_extra, skipped
from tests.helpers.moce_models import MINI, experts, mini, pictures, run


def jittered(**options: object) -> MoCEIR:
    """A small model in which no norm, bias or temperature keeps its initial value."""
    model = mini(**options)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model


def plain_of(model: MoCEIR, *, dense: bool = False) -> PlainMoCE:
    plain = PlainMoCE(model.config, dense=dense).eval()
    plain.load_state_dict(model.state_dict())
    return plain


@pytest.mark.parametrize("dense", [False, True], ids=["dispatched", "dense"])
@pytest.mark.parametrize("options", [{}, {"top_k": 2}, {"top_k": 2, "expert_depth": 2}], ids=str)
@pytest.mark.parametrize("size", [(27, 45), (40, 9)])
@pytest.mark.slow
def test_plain_form_equals_our_model(
    size: tuple[int, int], options: dict[str, int], dense: bool
) -> None:
    model, images = jittered(**options), pictures(3, 3, *size)
    ours = run(model, images)
    assert any(len({tuple(row) for row in rows}) > 1 for rows in experts(ours))
    with torch.inference_mode():
        plain = plain_of(model, dense=dense)(images)
    residual = (ours.image - images).std()
    assert residual > 0.1 * ours.image.std()  # the network, not the picture, is compared
    assert (plain - ours.image).abs().max() < 1e-5 * residual


def test_plain_form_takes_no_other_weights() -> None:
    with pytest.raises(RuntimeError, match="size mismatch"):
        PlainMoCE(MINI).load_state_dict(mini(dim=16).state_dict())


@pytest.mark.parametrize("dense", [False, True], ids=["dispatched", "dense"])
@pytest.mark.slow
def test_multiply_adds_of_the_plain_form_against_the_counter(dense: bool) -> None:
    model, image = mini(), pictures(1, 3, 64, 96)
    routings = run(model, image).routings
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        plain_of(model, dense=dense)(image)
    parts = every_expert(model, (64, 96)) if dense else model.multiply_adds((64, 96), routings)
    # The counter knows no FFT and neither counts the products of the spectra.
    transforms, pixels = 0.0, 64 * 96 / 16
    for place, (block, routing) in enumerate(zip(model.decoder_blocks, routings, strict=True)):
        here = pixels * 4 ** (0, 1, 1, 2)[place]
        for number, layers in enumerate(block.adapter.experts):
            if dense or number == int(routing.experts):
                body = layers[0].body  # type: ignore[index]
                convolutions = sum(p.numel() for n, p in body.named_parameters() if p.dim() == 4)
                transforms += (body.multiply_adds_per_pixel() - convolutions) * here
    counted = counter.get_total_flops() / 2
    assert parts["total"] + plain_extra(model, (64, 96)) - transforms == pytest.approx(
        counted, rel=2e-3
    )


def test_skipped_shares_by_hand() -> None:
    model = mini()
    costs = model.decoder_blocks[0].adapter.costs
    cheapest = [Routing(torch.tensor([[0]]), costs)] * 4
    shares = skipped(model, cheapest, (64, 64))
    sizes = [
        [sum(p.numel() for p in e.parameters()) for e in block.adapter.experts]
        for block in model.decoder_blocks
    ]
    idle = sum(sum(row[1:]) for row in sizes)
    assert shares["activations"] == 0.75
    assert shares["experts' parameters"] == pytest.approx(idle / sum(map(sum, sizes)))
    assert shares["all parameters"] == pytest.approx(
        idle / sum(p.numel() for p in model.parameters())
    )
    everything = every_expert(model, (64, 64))
    dear = sum(
        model.multiply_adds((64, 64), [Routing(torch.tensor([[j]]), costs)] * 4)["experts"]
        for j in (1, 2, 3)
    )
    assert shares["experts' multiply-adds"] == pytest.approx(dear / everything["experts"])
    assert shares["all multiply-adds"] == pytest.approx(dear / everything["total"])


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


@pytest.mark.slow
def test_script_prints_every_form_and_every_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, photos = tmp_path / "small.safetensors", tmp_path / "photos"
    model = mini(motion=True)  # a stage that the plain form has not
    store.save(weights, model, store.Card("small", {}))
    photos.mkdir()
    for number, image in enumerate(pictures(2, 3, 30, 21)):
        pixels = (image.permute(1, 2, 0) * 255).byte().numpy()
        write_image(photos / f"{number}.png", pixels)
    arguments = [
        "--model", str(weights), "--sides", "24", "--batches", "2", "--repeats", "2",
        "--threads", "1", "--photos", str(photos), "--tasks", "noise50,low_haze",
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["restore.py", *arguments])
    main()  # each form runs in a process of its own
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(", trained")
    assert lines[2].startswith("1 threads")
    rows = [cells(line) for line in lines if line.startswith("| 2 x 24x24")]
    assert [row[1] for row in rows] == list(FORMS)
    assert {len(row) for row in rows} == {10}
    work = [float(row[8]) for row in rows]
    assert work[2] <= work[0] == work[1] < work[3]  # plain: the attention's second product too
    assert all(float(row[9]) < 1e-5 for row in rows)
    tasks = [cells(line) for line in lines if line.startswith(("| noise50", "| low_haze"))]
    assert [row[:3] for row in tasks] == [["noise50", "2", "75.0%"], ["low_haze", "2", "75.0%"]]


def test_script_names_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dense = tmp_path / "dense.safetensors"
    options = {"channels": 8, "blocks": 1}
    model = MoEISR(MoEISRConfig(encoder_options=options, width=8, depths=(0,), widths=(8,)))
    store.save(dense, model, store.Card("dense", {}))
    monkeypatch.setattr(sys, "argv", ["restore.py", "--model", str(dense)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    message = f"{dense} does not repair: name a MoCE-IR model or its weights file."
    assert capsys.readouterr().err.strip() == message
