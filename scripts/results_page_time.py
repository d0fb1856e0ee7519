"""Sections of docs/results.md on the machine's peak, the whole command and maps of experts."""

from pixperts.inference.expert_maps import palette
from results_text import FIGURES, Row, circumstances, table


def peak(run: Row) -> list[str]:
    """The share of the peak that each part reaches."""
    settings = run["settings"]
    convolution, matrices = (settings["peaks"][key] / 1e9 for key in ("convolution", "matrices"))
    body = [
        [
            r["model"],
            r["part"],
            f"{r['gmac']:.2f}",
            f"{r['gmac_per_second']:.0f}",
            f"{100 * r['share']:.0f}%",
        ]
        for r in run["rows"]
    ]
    return [
        "",
        "### Shares of the peak",
        "",
        f"`benchmarks/peak.py`, an LR picture of {settings['side']} x {settings['side']} (to "
        "repair: twice the side), float32, one thread, each part alone. The peak is what a 3x3 "
        f"convolution of 64 channels reaches here in the same minutes, {convolution:.0f} GMAC/s "
        f"(for the experts of moeisr-tiny, a product of matrices: {matrices:.0f}); load of the "
        f"machine {settings['load']:.1f}.",
        "",
        *table(["model", "part", "GMAC", "GMAC/s", "of the peak"], body),
    ]


def command(part: Row) -> list[str]:
    """Processor seconds of the whole command."""
    settings = part["settings"]
    row = part["rows"]["command"]
    width, height = settings["size"]
    body = [[name, f"{seconds:.2f}"] for name, seconds in row["seconds"].items()]
    return [
        f"`pixperts upscale small.jpg --scale 2` on a JPEG of {width} x {height} (made from "
        f"`{settings['photo']}`), from start to end, including reading and writing. Figures are "
        f"processor seconds of the fastest of {row['repeats']} runs; the programs take turns; "
        f"{circumstances(settings)}. {settings['precision']} unless stated otherwise.",
        "",
        *table(["program", "processor seconds"], body),
    ]


def maps(part: Row) -> list[str]:
    """The sheets, with shares in words."""
    settings = part["settings"]
    lines = [
        f"Photos were reduced to {settings['side']} pixels (antialiased bicubic, 8 bit) and "
        f"enlarged x{settings['scale']} by `{settings['model']}` without a budget. Colors from the "
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
