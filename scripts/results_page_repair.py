"""Sections of docs/results.md on repair: tasks, experts, pinned experts, others, real photos."""

from remarks import REMARKS, SHOWN, SUMMARY
from results_text import FIGURES, Row, beside, by_case, counted, summaries, table

EXPERTS = ("none", "1x1", "two 3x3", "two dilated")


def repairs(part: Row) -> list[str]:
    """What each task gains, and what of the work is skipped."""
    settings = part["settings"]
    found = [r for name in ("CBSD68", "CID22-val") for r in summaries(part, set=name)]
    body = [
        [
            r["set"],
            r["task"],
            str(r["images"]),
            "equal" if r["task"] == "clean" else f"{r['before']:.2f}",
            f"{r['psnr']:.2f}",
            f"{r['lowest']:.2f}" if r["task"] == "clean" else f"{r['lowest_gain']:+.2f}",
            "-" if r["task"] == "clean" else str(r["worse"]),
            f"{r['ssim']:.4f}",
            f"{r['multiply_adds_per_pixel'] * 1e-3:.0f}",
            f"{100 * r['skipped']:.0f}%",
        ]
        for r in found
    ]
    head = ["set", "task", "pictures", "input, dB", "repaired, dB", "lowest gain", "worse than the "
            "input", "SSIM", "GMAC/MP", "skipped"]  # fmt: skip
    return [
        f"`{settings['model']}` in {settings['precision']}; its only input is the picture. The "
        f"degradations are **synthetic**; the first picture has seed {settings['seed']}, and each "
        "further picture the next number. PSNR and SSIM are on all channels of whole pictures, "
        "with results not rounded; each figure is the mean over the pictures (protocol rgb). Equal "
        "pictures count as 100 dB. For clean photos, the lowest PSNR is shown instead of the "
        "lowest gain. Skipped: the share of the multiply-adds of all experts together that is "
        "saved because only one is run.",
        "",
        *table(head, body),
    ]


def experts(part: Row) -> list[str]:
    """Shares of the pictures that chose each expert."""
    found = summaries(part, set="CID22-val")
    if not found:
        return []
    blocks = len(found[0]["experts"])
    body = [
        [r["task"], *(" / ".join(f"{100 * share:.0f}" for share in b) for b in r["experts"])]
        for r in found
    ]
    return [
        "",
        "### Experts by task",
        "",
        f"Share of the photos that used each expert ({', '.join(EXPERTS)}), in %. Blocks are in "
        "the order of execution. The photos are the same as above.",
        "",
        *table(["task", *(f"block {number}" for number in range(blocks))], body),
        "",
        f"![The same as a picture: the fuller a cell, the larger its share]({FIGURES}/experts.png)",
    ]


def pinned(part: Row) -> list[str]:
    """dB and work with one expert for every block, beside the router's choice."""
    settings, found = part["settings"], summaries(part)
    if not found:
        return []
    pins = list(dict.fromkeys(r["pin"] for r in found))
    body = []
    for task in dict.fromkeys(r["task"] for r in found):
        mine = {r["pin"]: r for r in found if r["task"] == task}
        best = max(round(r["psnr"], 2) for r in mine.values())
        body.append([task, *(_marked(mine[pin], best) if pin in mine else "-" for pin in pins)])
    # Clean pictures are at their own height, which would decide the mean.
    counted_in = [r for r in found if r["task"] != "clean"]
    for title, key, form in (
        ("**mean without clean**", "psnr", "{:.2f}"),
        ("GMAC/MP, all tasks", "multiply_adds_per_pixel", "{:.0f}"),
    ):
        cells = []
        for pin in pins:
            chosen = found if key != "psnr" else counted_in
            values = [r[key] for r in chosen if r["pin"] == pin]
            factor = 1.0 if key == "psnr" else 1e-3
            cells.append(form.format(factor * sum(values) / len(values)) if values else "-")
        body.append([title, *cells])
    return [
        f"`{settings['model']}` with the same expert in every block, at its full weight, instead "
        "of the router's choice. Figures are in dB; the best of a row is in bold. **The network "
        "was trained with routing.** So this shows what the router's choice gains with the experts "
        "of this network. It does not show what a network trained without routing would reach; "
        "small ones are compared in the [log](lab/2026-11-30-evening.md"
        "#moce-ir-light-small-optimizers-and-routers). "
        f"{counted(found[0]['images'], 'photo')} of {settings['set']}, "
        f"seeds of the task as above, protocol rgb, {settings['precision']}.",
        "",
        *table(["task", *pins], body),
    ]


def _marked(row: Row, best: float) -> str:
    text = f"{row['psnr']:.2f}"
    return f"**{text}**" if round(row["psnr"], 2) == best else text


def repair_beside_others(part: Row) -> list[str]:
    """Noise: ours and what knows its sigma."""
    runs = {name: run for name, run in by_case(part).items() if name.startswith("noise")}
    if not runs:
        return []
    lines = [
        "",
        "### Denoising",
        "",
        "White Gaussian noise, clipped and rounded to 8 bit; all channels of whole pictures. "
        "BM3D, non-local means and FFDNet are given sigma and the kind of noise; our models are "
        "not. BM3D is the package `bm3d` for color, with its default profile. Non-local means are "
        "the fast form of scikit-image, with the settings of its own example, and that of OpenCV "
        "for color with h = 0.5 sigma. FFDNet uses the weights in the package `ffdnet` (GPL; "
        "comparison only).",
        "",
        f"![PSNR against processor seconds per megapixel, denoising]({FIGURES}/repair.svg)",
    ]
    for name, run in runs.items():
        low, high = run["settings"]["load"]
        lines += [
            "",
            f"**sigma {name.removeprefix('noise')}**, the first "
            f"{counted(run['settings']['pictures'], 'picture')} of {run['settings']['photos']}; "
            f"load of the machine {low:.1f} to {high:.1f}:",
            "",
            *beside(run, "gain"),
        ]
    return lines


def real(part: Row) -> list[str]:
    """What was seen in each pair, and the pairs that may be shown."""
    settings = part["settings"]
    body = [
        [
            name,
            f"{r['width']} x {r['height']}",
            f"{r['change']:.1f}",
            REMARKS.get(name, "no remark yet"),
        ]
        for name, r in part["rows"].items()
    ]
    lines = [
        f"`pixperts restore` with `{settings['model']}` repaired photos with real damage. There "
        "are no undamaged originals to measure against, so these are the remarks of a person who "
        "compared before and after. The network was trained on synthetic degradations only. The "
        "photos are from well-known test sets; most are not shown, because their licenses are not "
        f"known. Change: the rms of the difference, in levels of 8 bit. {SUMMARY}",
        "",
        *table(["photo", "pixels", "change", "what happened"], body),
    ]
    for name in SHOWN:
        if name in part["rows"]:
            picture = part["rows"][name]["picture"]
            lines += ["", f"![{name}, before and after]({FIGURES}/{picture})", "", f"*{name}*"]
    return lines


def without_remark(part: Row) -> list[str]:
    """Names of the pairs that nobody has looked at."""
    return [name for name in part["rows"] if name not in REMARKS]
