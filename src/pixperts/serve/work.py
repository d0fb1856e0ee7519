"""The work of a working process of the service: one picture through one model."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pixperts.background.events import Ended, Failed, Finished
from pixperts.background.orders import Prepare, Run
from pixperts.background.relay import Relay, Tell, fault_of, without_folders
from pixperts.background.steps import prepare, sizes_of, take_step
from pixperts.errors import PixpertsError, explain


def carry_out(order: Run | Prepare, tell: Tell) -> None:
    """Carry out an order; an error is reported in one sentence."""
    if isinstance(order, Prepare):
        prepare(order, tell)
        return
    (path,) = map(Path, order.inputs)
    try:
        _run(order, path, tell)
    except Exception as error:
        text = str(error) if isinstance(error, PixpertsError) else explain(path, error)
        tell(Failed(without_folders(text, path.parent), fault_of(error)))


def _run(order: Run, path: Path, tell: Tell) -> None:
    sizes = sizes_of(path, order.step)
    if sizes is not None:
        width, height = sizes[1]
        if width * height > order.max_result_pixels:
            tell(
                Failed(
                    f"{path.name} would become {width} x {height} pixels, over this service's "
                    f"limit of {order.max_result_pixels}: choose a smaller size.",
                    "request",
                )
            )
            return

    def keep(one: Finished) -> None:
        tell(one if one.report is None else replace(one, report=_bare(one.report, path.parent)))

    take_step([path], order.step, order.options, Relay(tell, keep), charts=False)
    tell(Ended())


def _bare(report: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A report with the names of files that the client knows."""
    return {key: _without(value, folder) for key, value in report.items()}


def _without(value: Any, folder: Path) -> Any:
    if isinstance(value, list):
        return [_without(one, folder) for one in value]
    return value.replace(f"{folder}/", "") if isinstance(value, str) else value
