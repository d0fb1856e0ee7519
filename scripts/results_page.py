"""docs/results.md put together from what was measured: the whole page, and enlarging.

`page` takes the saved parts as they are (see `results_measure.Part`) and computes nothing but means
and ratios; a part that is missing is named on the page.
"""

from collections.abc import Mapping

from results_enhanced import enhanced
from results_page_repair import experts, pinned, real, repair_beside_others, repairs
from results_page_time import command, maps, peak
from results_text import (
    COMMAND,
    FIGURES,
    Row,
    beside,
    by_case,
    cells,
    circumstances,
    counted,
    factor,
    rows,
    summaries,
    table,
    way_of,
)

PARTS = {
    "enlarging": "Enlarging clean pictures",
    "photos": "Enlarging compressed and soft photos",
    "repairs": "Repair by task",
    "pinned": "The router's choice, and one expert for all",
    "enhanced": "Repair and enlargement together",
    "peers": "Beside others: quality against time",
    "command": "The whole command",
    "maps": "Where the experts work",
    "real": "Real photos",
}


def page(parts: Mapping[str, Row]) -> str:
    """The whole page in Markdown; `parts` are the files of `results_measure.Part` by name."""
    writers = {
        "enlarging": enlarging,
        "photos": photos,
        "repairs": repairs_and_experts,
        "pinned": pinned,
        "enhanced": enhanced,
        "peers": peers,
        "command": command,
        "maps": maps,
        "real": real,
    }
    lines = [
        "# Results",
        "",
        f"`{COMMAND}` made every figure and picture here with the packaged weights. It runs the "
        "same code as `pixperts upscale`, `pixperts restore` and `pixperts enhance`. Seconds are "
        "processor time, summed over threads. With one thread, this is the time that passes on an "
        "idle machine. "
        "Seconds depend on the machine, which is named with them. It did other work at the same "
        "time, so compare only within a table. All degradations are synthetic, except those of "
        "the last section.",
    ]
    for name, title in PARTS.items():
        lines += ["", f"## {title}", ""]
        part = parts.get(name)
        if part is None:
            lines.append(f"Not measured yet: `{COMMAND} --only {name}`.")
            continue
        if not part["finished"]:
            lines += ["**Unfinished: the measurements so far.**", ""]
        lines += writers[name](part)
    return "\n".join([*lines, ""])


def enlarging(part: Row) -> list[str]:
    """Quality on each set, then what budgets give."""
    settings = part["settings"]
    lines = [
        "PSNR and SSIM are on the Y channel, with a border of `scale` pixels cut off and results "
        "not rounded to 8 bit; each figure is the mean over the pictures (protocol y-shave). The "
        "small pictures are the published ones at x2, x3 and x4. At other factors, antialiased "
        "bicubic made them, and they were rounded to 8 bit. moeisr-light and moeisr-photo run in "
        f"{settings['precision']}, the others in float32. `liif-edsr` has the published weights "
        "of EDSR-baseline-LIIF, which are not ours (see [its "
        "card](models/liif-edsr.md)).",
    ]
    for name in dict.fromkeys(r["set"] for r in rows(part)):
        mine = rows(part, set=name, budget=None)
        scales = sorted({r["scale"] for r in mine})
        of = mine[0]["of"]
        count = counted(mine[0]["images"], "picture")
        count += f" of {of}" if of != mine[0]["images"] else ""
        ways = list(dict.fromkeys(map(way_of, mine)))
        for key, form, title in (("psnr", "{:.2f}", "PSNR, dB"), ("ssim", "{:.4f}", "SSIM")):
            shown = [s for s in scales if key == "psnr" or s == round(s)]
            body = [[way[0], *cells(mine, way, shown, key, form)] for way in ways]
            lines += ["", f"**{name}**, {count}, {title}:", ""]
            lines += table(["model", *map(factor, shown)], body)
    return lines + _budgets(part)


def _budgets(part: Row) -> list[str]:
    """A table of one set: quality and multiply-adds by budget."""
    name = part["settings"]["sets"][0]
    mine = [r for r in rows(part, set=name) if r["scale"] == round(r["scale"])]
    scales = sorted({r["scale"] for r in mine})
    body = [
        [
            *way,
            *cells(mine, way, scales, "psnr", "{:.2f}"),
            *cells(mine, way, scales, "multiply_adds_per_pixel", "{:.3g}", 1e-3),
        ]
        for way in dict.fromkeys(map(way_of, mine))
    ]
    head = ["model", "budget", *(f"{factor(s)}, dB" for s in scales)]
    return [
        "",
        f"Quality against work, {name}. The points of a mixture are its budgets, from 0 (the "
        "cheapest expert everywhere) to 1 (the best expert everywhere). With "
        '"auto" there is no budget, and the mapper decides. GMAC/MP are 10⁹ multiply-adds for a '
        "megapixel of the result. They were calculated, not measured, for the routing on this set.",
        "",
        f"![PSNR against multiply-adds per megapixel]({FIGURES}/budgets.svg)",
        "",
        *table([*head, *(f"{factor(s)}, GMAC/MP" for s in scales)], body),
    ]


def photos(part: Row) -> list[str]:
    """Gain over bicubic by case, factor and model."""
    settings, found = part["settings"], summaries(part)
    if not found:
        return []
    scales = sorted({r["scale"] for r in found})
    models = list(dict.fromkeys(r["model"] for r in found))
    lines = [
        f"{counted(found[0]['images'], 'photo')} of {settings['set']}, reduced by antialiased "
        "bicubic, rounded to 8 bit, then compressed as JPEG with 4:2:0 chroma. `soft` photos were "
        "first reduced by 1.6 and enlarged again, so that they are soft at pixel level. The table "
        "shows the gain over bicubic in dB, on luma, with a border of `scale` pixels cut off and "
        "results rounded to 8 bit. In brackets: the lowest gain of any photo and, if there are "
        "any, the number of photos below bicubic. moeisr-light and moeisr-photo run in "
        f"{settings['precision']}.",
    ]
    for scale in scales:
        body = []
        for case in dict.fromkeys(r["case"] for r in found):
            mine = {r["model"]: r for r in found if (r["scale"], r["case"]) == (scale, case)}
            body.append(
                [
                    _case(case),
                    *(f"{r['before']:.2f}" for r in list(mine.values())[:1]),
                    *(_gain(mine[m]) if m in mine else "-" for m in models),
                    *(f"{mine[m]['ssim']:.4f}" if m in mine else "-" for m in models[1:]),
                ]
            )
        head = [factor(scale), "bicubic, dB", *models, *(f"{m}, SSIM" for m in models[1:])]
        lines += ["", *table(head, body)]
    return lines


def _case(case: str) -> str:
    """In words.

    >>> _case("clean"), _case("jpeg75"), _case("soft60")
    ('clean', 'JPEG 75', 'soft, JPEG 60')
    """
    kind = case.rstrip("0123456789")
    quality = case.removeprefix(kind)
    if not quality:
        return kind
    return f"{'soft, ' if kind == 'soft' else ''}JPEG {quality}"


def _gain(row: Row) -> str:
    """Mean gain, the lowest, and the number of photos that lost."""
    below = f", {row['worse']} below" if row["worse"] else ""
    return f"{row['gain']:+.2f} ({row['lowest_gain']:+.2f}{below})"


def repairs_and_experts(part: Row) -> list[str]:
    """Quality by task, then who did it."""
    return [*repairs(part), *experts(part)]


def peers(part: Row) -> list[str]:
    """Enlarging beside others, then repair, then the shares of the peak."""
    settings = part["settings"]
    runs = {name: run for name, run in by_case(part).items() if name.startswith("x")}
    plot = f"![PSNR against processor seconds per megapixel, enlarging]({FIGURES}/speed.svg)"
    lines = [
        "Measured by `benchmarks/peers.py`. Every method runs in a process of its own, and in each "
        f"round the methods take turns on the same {counted(settings['pictures'], 'photo')}. "
        f"Seconds are those of the fastest of {counted(settings['rounds'], 'round')}; the ratio is "
        "the median over the rounds. Memory is the peak above that of the loaded process; a dash "
        "means that it was not measured. Results are rounded to 8 bit. "
        f"float32 unless stated otherwise; {circumstances(settings)}.",
        *(["", plot] if runs else []),
    ]
    for name, run in runs.items():
        scale, _, case = name.partition(" ")
        lines += [
            "",
            f"**{scale}, {_case(case)}**, CID22-val, luma, border cut off; {_load(run)}:",
            "",
            *beside(run, "over bicubic"),
        ]
    lines += _not_run_here()
    lines += repair_beside_others(part)
    if "peak" in part["rows"]:
        lines += peak(part["rows"]["peak"])
    return lines


def _load(run: Row) -> str:
    low, high = run["settings"]["load"]
    return f"load of the machine {low:.1f} to {high:.1f}"


def _not_run_here() -> list[str]:
    """Figures of two fixed networks whose weights no package carries."""
    body = [
        ["IMDN", "38.01", "35.91", "32.22", "0.98", "0.67", "0.26"],
        ["RLFN x4, reduced", "-", "35.87", "32.10", "-", "0.21", "0.10"],
        ["moeisr-liif-edsr", "37.95", "35.87", "32.19", "2.8", "2.4", "2.0"],
    ]
    head = ["Set5, luma", "x2, dB", "x2.5, dB", "x4, dB"]
    times = (f"{scale}, times {'moeisr-tiny'}" for scale in ("x2", "x2.5", "x4"))
    return [
        "",
        "IMDN and RLFN are small networks for a single factor. For other factors, they enlarge by "
        "the next whole factor, and the result is reduced. No package includes their weights, so "
        "they were **not run here**. These figures were measured on another machine: core-seconds "
        "per megapixel, divided by those of moeisr-tiny there (5.3 / 6.1 / 5.3).",
        "",
        *table([*head, *times], body),
    ]
