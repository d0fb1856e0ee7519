"""Pictures through one operation of one model, in a working process, as the command line does it.

It is the command line's own path, `run_folder`, so that the files are the same byte by byte.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

from pixperts.background.events import Ended, Failed, Finished
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
    """A model, which stays loaded from one run to the next."""
    if loading.runtime != "torch":
        card = store.read_card(weights_file(name, offline=loading.offline))
        if outline(card.config, card.family).does != "upscale":
            loading = replace(loading, runtime="torch")  # what the command line does for a repair
    return load(name, **asdict(loading))


def _predictor_for(step: Step) -> AnyPredictor:
    """What the command line would load for an operation.

    Raises:
        ModelError, UsageError: for a model that cannot be loaded or is of the wrong kind.
    """
    model = predictor_of(step.model, step.loading)
    if not isinstance(step.operation, Enhance):
        return model
    other = step.operation.restore_model
    return Enhancer.of(model, lambda: predictor_of(other, step.loading))


def prepare(order: Prepare, tell: Tell) -> None:
    """Load models; one that cannot be loaded is a sentence."""
    try:
        for name in order.models:
            predictor_of(name, order.loading)
    except PixpertsError as error:
        tell(Failed(str(error)))
    else:
        tell(Ended())


def sizes_after(path: Path, steps: Sequence[Step]) -> list[tuple[int, int]]:
    """(width, height) after each step; none for a picture that reading will refuse."""
    sizes = []
    try:
        page = steps[0].operation.files.page if steps else None
        size = header_size(path, page if isinstance(page, int) else None)
        for step in steps:
            size = step.operation.new_size(*size)
            sizes.append(size)
    except PixpertsError:
        return []
    return sizes


def take_step(
    paths: Sequence[Path],
    step: Step,
    options: FolderOptions,
    pass_on: Relay,
    output: str | None = None,
    *,
    charts: bool = True,
) -> list[Finished]:
    """Pictures through one step, as the command line takes them there.

    Args:
        paths: the pictures.
        step: what is done to them.
        options: names and formats of the results.
        pass_on: hears of it.
        output: as on the command line; None: beside the pictures.
        charts: whether maps of experts are drawn beside the pictures, where there are any.
    """
    predictor = _predictor_for(step)
    has_chart = charts and isinstance(predictor, Upscaler) and predictor.takes_budget
    run_folder(
        list(paths),
        output,
        step.operation,
        predictor,
        options=options,
        expert_map=f"{paths[0].parent}/" if has_chart else None,
        listener=pass_on,
    )
    return pass_on.finished
