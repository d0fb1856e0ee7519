"""The commands that show models: `models` lists them, `analyze` shows what one sees."""

import json
from typing import Annotated

from pixperts.cli.options import JsonOption, RestoreModel
from pixperts.defaults import DEFAULT_REPAIR_MODEL
from pixperts.inference.options import DeviceOptions
from pixperts.options import Option

_FIGURES = 3  # of a model in the table; --json has all


def analyze(
    photo: Annotated[str, Option("One picture, or - for standard input.", positional=True)],
    *,
    model: RestoreModel = DEFAULT_REPAIR_MODEL,
    running: DeviceOptions,
    report: JsonOption,
) -> None:
    """Show what is wrong with a picture, and which experts the network chooses for it."""
    from pixperts.cli.pipes import Pipes
    from pixperts.inference.analysis import analyze as analyze_picture
    from pixperts.inference.restorer import Restorer
    from pixperts.io.image import read_image
    from pixperts.jobs.curves import for_network

    restorer = Restorer.load(model, device=running.device)
    with Pipes([photo], results=False) as pipes:
        found = analyze_picture(restorer, for_network(read_image(pipes.inputs[0])))
        name = pipes.named(pipes.inputs[0])
    if report.as_json:
        print(json.dumps({"input": name, **found.to_dict()}, allow_nan=False))
    else:
        print(found.to_text())


def models(report: JsonOption) -> None:
    """List the models: first those with weights, then architectures without weights."""
    from pixperts.weights import catalogue

    listed = catalogue.list_models()
    if report.as_json:
        for entry in listed:
            print(json.dumps(entry.to_dict(), allow_nan=False))
        return
    from pixperts.cli.tables import Column, print_table

    columns = [
        Column("name"),
        Column("does"),
        Column("what"),
        Column("parameters", number=True),
        Column("GMAC / MP", number=True),
        Column("quality, dB"),
        Column("license of the weights"),
    ]
    rows = []
    for entry in listed:
        figures = [f"{key} {value}" for key, value in entry.quality.items()]
        more = f" and {len(figures) - _FIGURES} more" if len(figures) > _FIGURES else ""
        quality = ", ".join(figures[:_FIGURES]) + more
        rows.append(
            [
                entry.name,
                entry.does,
                entry.summary,
                f"{entry.parameters / 1e6:.2f} M",
                f"{entry.gmac_per_megapixel:.0f}",
                quality or ("not measured" if entry.trained else "-"),
                entry.license or "untrained",
            ]
        )
    print_table(columns, rows)
