"""docs/results.md and its drawings, put together from what was measured.

`page` and `panels_*` take the saved parts as they are (see `results_measure.Part`) and compute
nothing but means; a part that is missing is named on the page.
"""

from collections.abc import Mapping

from pixperts.inference.expert_maps import palette
from remarks import REMARKS, SHOWN
from results_text import Row, cells, circumstances, counted, first, rows, table, way_of
from scatter import Panel, Point, Series

PARTS = {
    "enlarging": "Enlarging",
    "denoising": "Denoising",
    "experts": "Experts by task",
    "maps": "Where the experts work",
    "real": "Real photos",
}
FIGURES = "images/results"  # below the folder of the page

COMMAND = "python scripts/results.py"
SECONDS = "processor seconds per megapixel"


def page(parts: Mapping[str, Row]) -> str:
    """The whole page in Markdown; `parts` are the files of `results_measure.Part` by name."""
    writers = {
        "enlarging": enlarging,
        "denoising": denoising,
        "experts": experts,
        "maps": maps,
        "real": real,
    }
    lines = [
        "# Results",
        "",
        f"Every figure and picture here was made by `{COMMAND}` with the packaged weights, "
        "through the code that `pixperts upscale` and `pixperts restore` run. Seconds are "
        "processor time summed over threads: with one thread, what an idle machine's clock shows. "
        "They depend on the machine that is named with them.",
    ]
    for name, title in PARTS.items():
        lines += ["", f"## {title}", ""]
        part = parts.get(name)
        if part is None:
            lines.append(f"Not measured yet: `{COMMAND} --only {name}`.")
            continue
        if not part["finished"]:
            lines += ["**Unfinished: what was measured so far.**", ""]
        lines += writers[name](part)
    return "\n".join([*lines, ""])


def enlarging(part: Row) -> list[str]:
    """Quality and cost on each set, then the seconds."""
    settings = part["settings"]
    scales = settings["scales"]
    lines = [
        f"![PSNR against seconds and multiply-adds per megapixel]({FIGURES}/upscaling.svg)",
        "",
        "Points of a mixture are its budgets, from 0 (the cheapest expert everywhere) to 1 (the "
        'best everywhere); "auto" is no budget: the mapper decides. `liif-edsr` are the '
        "published weights of EDSR-baseline-LIIF, not ours (see [its "
        "card](models/liif-edsr.md)), rounded to float16.",
    ]
    for name in dict.fromkeys(r["set"] for r in rows(part, kind="quality")):
        mine = rows(part, kind="quality", set=name)
        sources = ", ".join(dict.fromkeys(r["lr_source"] for r in mine))
        head = ["model", "budget", *(f"x{s}, dB" for s in scales), *(f"x{s}, SSIM" for s in scales)]
        body = [
            [
                *way,
                *cells(mine, way, scales, "psnr", "{:.2f}"),
                *cells(mine, way, scales, "ssim", "{:.4f}"),
                *cells(mine, way, scales, "multiply_adds_per_pixel", "{:.3g}", 1e-3),
            ]
            for way in dict.fromkeys(map(way_of, mine))
        ]
        lines += [
            "",
            f"**{name}**, {first(settings)}{counted(mine[0]['images'], 'picture')}; PSNR and SSIM "
            "on the Y channel, border of `scale` pixels cut, no rounding to 8 bit, mean over "
            f"pictures; small pictures: {sources}. GMAC/MP: 10⁹ multiply-adds for a megapixel of "
            "the result, by analysis, as routed on this set.",
            "",
            *table([*head, *(f"x{s}, GMAC/MP" for s in scales)], body),
        ]
    timed = rows(part, kind="seconds")
    if timed:
        width, height = settings["timed_size"]
        body = [
            [*way, *cells(timed, way, scales, "seconds_per_megapixel", "{:.2f}")]
            for way in dict.fromkeys(map(way_of, timed))
        ]
        lines += [
            "",
            f"**Processor seconds for a megapixel of the result**: `{settings['timed']}` reduced "
            f"and enlarged to {width} x {height}, the fastest of "
            f"{counted(settings['repeats'], 'run')}, without reading and writing files; "
            f"{circumstances(settings)}.",
            "",
            *table(["model", "budget", *(f"x{s}" for s in scales)], body),
        ]
    return lines


def panels_enlarging(part: Row) -> list[Panel]:
    """A row of panels against seconds, one against multiply-adds; of the first set."""
    scales, first = part["settings"]["scales"], part["settings"]["sets"][0]
    quality = rows(part, kind="quality", set=first)
    timed = rows(part, kind="seconds")
    for row in quality:  # both costs beside the quality
        match = [t for t in timed if way_of(t) == way_of(row) and t["scale"] == row["scale"]]
        row["seconds"] = match[0]["seconds_per_megapixel"] if match else None
        row["gmac"] = row["multiply_adds_per_pixel"] * 1e-3
    panels = []
    for key, title in (("seconds", SECONDS), ("gmac", "GMAC per megapixel")):
        for scale in scales:
            mine = [r for r in quality if r["scale"] == scale and r[key] is not None]
            # Far cheaper and far worse, bicubic would squeeze all others into a corner.
            plain = [r for r in mine if r["model"] == "bicubic"]
            note = "".join(f"bicubic: {r['psnr']:.2f} dB at {r[key]:.2g}" for r in plain)
            mine = [r for r in mine if r not in plain]
            names = dict.fromkeys(r["model"] for r in mine)
            series = tuple(
                _series(name, [r for r in mine if r["model"] == name], key) for name in names
            )
            if series:
                panels.append(Panel(f"{first} x{scale}", title, "PSNR, dB", series, note=note))
    return panels


def _series(name: str, mine: list[Row], key: str) -> Series:
    """One model's points by rising cost; those of a mixture say their budget, others their name."""
    points = [
        Point(r[key], r["psnr"], way_of(r)[1] if r["mixture"] else r["model"])
        for r in sorted(mine, key=lambda r: float(r[key]))
    ]
    return Series(name, tuple(points))


def denoising(part: Row) -> list[str]:
    """Quality and seconds at each level of noise, and what could not be run."""
    settings = part["settings"]
    done = [r for r in part["rows"].values() if "reason" not in r]
    sigmas = sorted({r["sigma"] for r in done})
    noisy = {r["sigma"]: r["degraded_psnr"] for r in done if "degraded_psnr" in r}
    body = [
        [
            "noisy input",
            *(f"{noisy[s]:.2f}" if s in noisy else "-" for s in sigmas),
            *["-"] * len(sigmas),
        ]
    ]
    for method in dict.fromkeys(r["method"] for r in done):
        mine = {r["sigma"]: r for r in done if r["method"] == method}
        body.append(
            [
                method,
                *(f"{mine[s]['psnr']:.2f}" if s in mine else "-" for s in sigmas),
                *(f"{mine[s]['seconds_per_megapixel']:.1f}" if s in mine else "-" for s in sigmas),
            ]
        )
    reasons = dict.fromkeys(
        (r["method"], r["reason"]) for r in part["rows"].values() if "reason" in r
    )
    lines = [f"![PSNR against seconds per megapixel]({FIGURES}/denoising.svg)", ""] if done else []
    images = done[0]["images"] if done else 0
    return [
        *lines,
        f"**{settings['set']}**, {first(settings)}{counted(images, 'picture')}; white Gaussian "
        f"noise, clipped and rounded to 8 bit (**synthetic**), seed {settings['seed']} and up by "
        "one per picture; PSNR on all channels, whole pictures, outputs not rounded, mean over "
        "pictures; processor seconds per megapixel over these pictures, without files; "
        f"{circumstances(settings)}. BM3D and non-local means are given sigma and the kind of "
        "noise; `moce-ir-tiny` is given the picture alone. BM3D: the package `bm3d`, color, its "
        "default profile. Non-local means: scikit-image's fast form, settings of its own example "
        f"({settings['non_local_means']}).",
        "",
        *table(
            ["method", *(f"sigma {s}, dB" for s in sigmas), *(f"sigma {s}, s/MP" for s in sigmas)],
            body,
        ),
        *(f"\n{method} is left out: {reason}" for method, reason in reasons),
    ]


def panels_denoising(part: Row) -> list[Panel]:
    """One panel per sigma, with the noisy input as a level."""
    done = [r for r in part["rows"].values() if "reason" not in r]
    panels = []
    for sigma in sorted({r["sigma"] for r in done}):
        mine = [r for r in done if r["sigma"] == sigma]
        series = tuple(
            Series(r["method"], (Point(r["seconds_per_megapixel"], r["psnr"], r["method"]),))
            for r in mine
        )
        levels = tuple((r["degraded_psnr"], "noisy input") for r in mine if "degraded_psnr" in r)[
            :1
        ]
        panels.append(Panel(f"sigma {sigma}", SECONDS, "PSNR, dB", series, levels))
    return panels


def experts(part: Row) -> list[str]:
    """Shares of the pictures that chose each expert, and what the repair gained."""
    settings, found = part["settings"], list(part["rows"].values())
    if not found:
        return []
    blocks = len(found[0]["experts"])
    body = [
        [
            r["task"],
            *(" / ".join(f"{100 * share:.0f}" for share in block) for block in r["experts"]),
            "-" if r["degraded_psnr"] is None else f"{r['degraded_psnr']:.2f}",
            f"{r['psnr']:.2f}",
            f"{100 * r['skipped']:.0f}%",
        ]
        for r in found
    ]
    head = [
        "task",
        *(f"block {number}" for number in range(blocks)),
        "input, dB",
        "repaired, dB",
        "skipped",
    ]
    return [
        f"`{settings['model']}` on the first {counted(found[0]['images'], 'photo')} of "
        f"{settings['set']}, spoiled by **synthetic** degradations, seed {settings['seed']} and up "
        "by one per photo; the network is not given the task. Share of the photos that chose each "
        "expert, from the cheapest to the most expensive, in %, decoder blocks in order; PSNR on "
        "all channels, whole pictures; skipped: share of the multiply-adds of all experts that was "
        "not spent.",
        "",
        *table(head, body),
        "",
        f"![The same as a picture: the fuller a cell, the larger its share]({FIGURES}/experts.png)",
    ]


def maps(part: Row) -> list[str]:
    """The sheets, with shares in words."""
    settings = part["settings"]
    lines = [
        f"Photos reduced to {settings['side']} pixels (antialiased bicubic, 8 bit) and enlarged "
        f"x{settings['scale']} by `{settings['model']}` without a budget. Colors from the "
        f"cheapest expert to the most expensive: {_colors(part)}.",
    ]
    for name, r in part["rows"].items():
        shares = " / ".join(f"{100 * share:.0f}" for share in r["shares"])
        lines += [
            "",
            f"![{name}: bicubic, enlarged, experts]({FIGURES}/{r['picture']})",
            "",
            f"*{name}*: experts {shares} % of the pixels, mean cost {r['mean_cost']:.2f} of the "
            "most expensive expert's.",
        ]
    return lines


def _colors(part: Row) -> str:
    """The palette as hexadecimal values with each expert's cost."""
    costs: list[float] = next((r["costs"] for r in part["rows"].values()), [])
    return ", ".join(
        f"`#{red:02x}{green:02x}{blue:02x}` (cost {cost:.2f})"
        for (red, green, blue), cost in zip(
            palette(len(costs)).tolist() if costs else [], costs, strict=True
        )
    )


def real(part: Row) -> list[str]:
    """What was seen in each pair, and the pairs that may be shown."""
    settings = part["settings"]
    body = [
        [name, f"{r['width']} x {r['height']}", REMARKS.get(name, "no remark yet")]
        for name, r in part["rows"].items()
    ]
    lines = [
        f"Photos with real damage through `pixperts restore` with `{settings['model']}`. There is "
        "no truth to measure against, so this is what a person saw, before beside after. The "
        "network was trained on synthetic degradations only. The photos are those of well-known "
        "test sets; most are not shown, because their licenses are not known.",
        "",
        *table(["photo", "pixels", "what happened"], body),
    ]
    for name in SHOWN:
        if name in part["rows"]:
            picture = part["rows"][name]["picture"]
            lines += ["", f"![{name}, before and after]({FIGURES}/{picture})", "", f"*{name}*"]
    return lines


def without_remark(part: Row) -> list[str]:
    """Names of the pairs that nobody has looked at."""
    return [name for name in part["rows"] if name not in REMARKS]
