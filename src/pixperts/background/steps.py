"""Take pictures through one operation in a working process.

It calls `run_folder`, as the command line does, so that the files are the same byte by byte.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

from pixperts.background.events import Ended, Failed
from pixperts.background.orders import Prepare, Step
from pixperts.background.relay import Relay, Tell
from pixperts.errors import PixpertsError
from pixperts.inference.enhancer import Enhancer
from pixperts.inference.loading import load
from pixperts.inference.options import UpscaleModelOptions
from pixperts.inference.predictor import AnyPredictor, Predictor
from pixperts.inference.upscaler import Upscaler
from pixperts.io.decode import header_size
from pixperts.jobs.enhance import Enhance
from pixperts.jobs.options import FolderOptions
from pixperts.jobs.run import run_folder
from pixperts.models.presets import outline
from pixperts.weights import store
from pixperts.weights.packaged import weights_file


@cache
def predictor_of(name: str, loading: UpscaleModelOptions) -> Predictor:
    """A model, loaded once and kept for the next run."""
    if loading.runtime != "torch":
        card = store.read_card(weights_file(name, offline=loading.offline))
        if outline(card.config, card.family).does != "upscale":
            loading = replace(loading, runtime="torch")  # repairs run in torch only
    return load(name, **asdict(loading))


def _predictor_for(step: Step) -> AnyPredictor:
    """The model of a step, or the one or two models of `Enhance`.

    Raises:
        ModelError, UsageError: a model cannot be loaded or is of the wrong kind.
    """
    model = predictor_of(step.model, step.loading)
    if not isinstance(step.operation, Enhance):
        return model
    other = step.operation.restore_model
    return Enhancer.of(model, other, lambda name: predictor_of(name, step.loading))


def prepare(order: Prepare, tell: Tell) -> None:
    """Load models; if one cannot be loaded, the reason is reported."""
    try:
        for name in order.models:
            predictor_of(name, order.loading)
    except PixpertsError as error:
        tell(Failed(str(error)))
    else:
        tell(Ended())


def sizes_of(path: Path, step: Step) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """(width, height) before and after a step; None if the picture cannot be read."""
    try:
        page = step.operation.files.page
        size = header_size(path, page if isinstance(page, int) else None)
        return size, step.operation.new_size(*size)
    except PixpertsError:
        return None


def take_step(
    paths: Sequence[Path],
    step: Step,
    options: FolderOptions,
    pass_on: Relay,
    *,
    charts: bool = True,
) -> None:
    """Take pictures through one step; results are written beside them.

    Args:
        paths: the pictures.
        step: what is done to them.
        options: names and formats of the results.
        pass_on: is informed of progress and results.
        charts: whether maps of experts are written beside the pictures, if the model has experts.
    """
    predictor = _predictor_for(step)
    has_chart = charts and isinstance(predictor, Enhancer | Upscaler) and predictor.takes_budget
    run_folder(
        list(paths),
        None,
        step.operation,
        predictor,
        options=options,
        expert_map=f"{paths[0].parent}/" if has_chart else None,
        listener=pass_on,
    )
