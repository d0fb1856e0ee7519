"""Progress and reports as HTML for the page: what was done, and what the router saw."""

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pixperts.app.views import TILE
from pixperts.background.events import Finished
from pixperts.inference.expert_maps import palette

EMPTY = '<div class="pix-empty">The result appears here, with a slider for before and after.</div>'
_TASKS = {
    "clean": "clean",
    "noise": "noisy",
    "grain": "grainy",
    "rain": "rainy",
    "haze": "hazy",
    "blur": "blurred by motion",
    "defocus": "out of focus",
    "low_light": "too dark",
    "low": "too dark",
    "snow": "snowy",
    "jpeg": "compressed",
}
_METHODS = {
    "lanczos": "No side grew, so it was reduced with Lanczos.",
    "copy": "The size is the same, so nothing was enlarged.",
    "both": "One side grew; the other was reduced with Lanczos.",
}


def status(text: str, share: float | None = None) -> str:
    """A line on how far the work is, read aloud by screen readers when it changes."""
    bar = (
        ""
        if share is None
        else (f'<progress max="1" value="{share:.3f}" aria-label="Progress"></progress>')
    )
    return f'<div class="pix-status" role="status">{bar}<div>{html.escape(text)}</div></div>'


def refusals(errors: Sequence[str]) -> str:
    """Sentences on what failed."""
    return "".join(f'<div class="pix-bad" role="alert">{html.escape(one)}</div>' for one in errors)


def duration(seconds: float) -> str:
    """A time for a person.

    >>> duration(0.4), duration(41.7), duration(150)
    ('1 second', '42 seconds', '2.5 minutes')
    """
    if seconds >= 90:
        return f"{seconds / 60:.1f} minutes"
    whole = max(1, round(seconds))
    return f"{whole} second{'s' if whole > 1 else ''}"


def viewer(one: Finished, sizes: Mapping[str, tuple[int, int]], prefix: str) -> str:
    """The picture before and after, with the controls of the view.

    Args:
        one: a result.
        sizes: (width, height) of each of its views.
        prefix: of the address of a file.
    """
    views = {
        name: {
            "url": f"{prefix}{path.removesuffix('.dzi')}_files/",
            "format": "png" if name == "map" else "jpg",
            "tile": TILE,
            "width": sizes[name][0],
            "height": sizes[name][1],
        }
        for name, path in one.views.items()
    }
    overlay = ""
    if "map" in views:
        overlay = (
            "<label>Map of experts <input type='range' class='pix-overlay' min='0' max='100' "
            "value='0'></label>"
        )
    name = html.escape(Path(one.output or one.name).name)
    buttons = "".join(
        f"<button type='button' data-job='{job}' aria-label='{label}'>{sign}</button>"
        for job, label, sign in (
            ("in", "Zoom in", "+"),
            ("out", "Zoom out", "&minus;"),
            ("fit", "Show the whole picture", "Fit"),
            ("one", "One pixel of the result for one of the screen", "1:1"),
        )
    )
    return (
        f"<div class='pix-view' data-views='{html.escape(json.dumps(views), quote=True)}'>"
        f"<div class='pix-frame'><div class='pix-canvas' role='img' "
        f"aria-label='{name}, before and after'></div><div class='pix-line'></div>"
        "<span class='pix-tag before'>before</span><span class='pix-tag after'>after</span></div>"
        "<div class='pix-bar'><label>Before and after <input type='range' class='pix-slider' "
        f"min='0' max='100' step='0.5' value='50'></label>{overlay}<span>{buttons}</span></div>"
        "</div>"
    )


def photo(name: str, url: str) -> str:
    """A photo before anything is done."""
    return (
        f"<div class='pix-photo'><img src='{html.escape(url, quote=True)}' "
        f"alt='{html.escape(name, quote=True)}'></div>"
    )


def view_sizes(views: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """Sizes of pyramids, as their descriptions say."""
    import re

    sizes = {}
    for name, path in views.items():
        text = Path(path).read_text(encoding="utf-8")
        found = [re.search(rf'{side}="(\d+)"', text) for side in ("Width", "Height")]
        width, height = (int(one[1]) if one else 0 for one in found)
        sizes[name] = width, height
    return sizes


def seen(one: Finished) -> str:
    """What the routers saw in one picture, and what else there is to say of it."""
    report = one.report or {}
    parts = [f"<p>{_done(report)} in {duration(report['seconds'])} by {_name(report)}.</p>"]
    if "experts" in report:
        parts += [_faults(report), _blocks(report)]
    if "shares" in report:
        parts.append(_shares(report))
    listed = "".join(f"<li>{html.escape(note)}</li>" for note in report["notes"])
    if listed:
        parts.append(f"<p>Good to know:</p><ul>{listed}</ul>")
    return f'<div class="pix-seen">{"".join(parts)}</div>'


def _done(report: Mapping[str, Any]) -> str:
    if "shares" not in report:
        return "Repaired"
    begin = "Repaired and enlarged" if "experts" in report else "Enlarged"
    return f"{begin} from {{width}} x {{height}} to {{new_width}} x {{new_height}} pixels".format(
        **report
    )


def _shares(report: Mapping[str, Any]) -> str:
    """Who enlarged which share of the pixels."""
    text = f"<p>{_METHODS[report['method']]}</p>" if report["method"] in _METHODS else ""
    if report["method"] in ("lanczos", "copy"):
        return text
    if report["shares"] is None:
        return f"{text}<p>The model that enlarges has one expert, so there is no map.</p>"
    colors = palette(len(report["shares"]))
    rows = "".join(
        f"<tr><td><span class='pix-swatch' style='background:rgb({r},{g},{b})'></span>"
        f"{number}</td><td>{share:.0%}</td></tr>"
        for number, (share, (r, g, b)) in enumerate(
            zip(report["shares"], colors.tolist(), strict=True)
        )
    )
    return (
        f"{text}<table><thead><tr><th>Expert, the cheapest first</th><th>Pixels</th></tr></thead>"
        f"<tbody>{rows}</tbody></table><p>{1 - report['mean_cost']:.0%} of the work of the experts "
        "that enlarge was skipped, compared with the most expensive one everywhere.</p>"
    )


def _faults(report: Mapping[str, Any]) -> str:
    """What was found wrong."""
    text = ""
    if report["found"] is not None:
        text += f"<p>{html.escape(report['found'][0].upper() + report['found'][1:])}.</p>"
    elif report["task"] is not None:
        task = _TASKS.get(report["task"].rstrip("0123456789"), report["task"].replace("_", ", "))
        text += f"<p>It looks {html.escape(task)} ({report['confidence']:.0%} sure).</p>"
    if report["motion"] is not None:
        length, angle = report["motion"]
        text += f"<p>Motion blur of {length:.1f} pixels at {angle:.0f} degrees was undone.</p>"
    return text


def _blocks(report: Mapping[str, Any]) -> str:
    """Which experts repaired."""
    rows = "".join(
        f"<tr><td>{number}</td><td>{', '.join(map(str, experts))}</td>"
        f"<td>{', '.join(f'{gate:.2f}' for gate in gates)}</td></tr>"
        for number, (experts, gates) in enumerate(
            zip(report["experts"], report["gates"], strict=True), start=1
        )
    )
    return (
        "<table><thead><tr><th>Block</th><th>Expert chosen</th><th>Its weight</th></tr></thead>"
        f"<tbody>{rows}</tbody></table><p>{report['skipped']:.0%} of the work of all experts that "
        "repair was skipped.</p>"
    )


def _name(report: Mapping[str, Any]) -> str:
    return html.escape(" and ".join(report["model"].split("+")))
