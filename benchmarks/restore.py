"""Plain MoCE-IR against ours, routed and with every expert run, and what the routing skips.

    python benchmarks/restore.py [--model moce-ir-s] [--sides 256,512] [--batches 1,4] [--repeats 3]

Same weights, pictures and threads for all. Each form runs in a process of its own, so that its
peak memory is its own; the processes take turns, so that a slow minute of the machine hits all.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))

from pixperts.degradations.tasks import TASKS, degrade
from pixperts.errors import ModelError, PixpertsError, UsageError
from pixperts.io.image import list_images, read_image
from pixperts.memory import keep_freed_memory
from pixperts.models.interfaces import Network
from pixperts.models.moce_ir.blocks import ChannelAttention, CrossChannelAttention
from pixperts.models.moce_ir.inputs import pad_to_multiple
from pixperts.models.moce_ir.model import MoCEIR
from pixperts.models.presets import PRESETS, create_model
from pixperts.ops.pixels import to_float
from pixperts.routing import Routing
from pixperts.weights import store
from pixperts.weights.packaged import packaged_models
from plain_moce import PlainMoCE

# Ours keeps freed memory, as in `Restorer`; the plain form is shown with and without.
FORMS = ("plain", "plain, memory kept", "ours", "ours, all experts")  # --plain-dense adds one
PHOTO_TASKS = "noise25,rain,haze,blur,low_light"


def load_model(name: str) -> tuple[MoCEIR, str]:
    """A packaged model, a weights file, or a preset with random weights; and what it is."""
    path = packaged_models().get(name)
    if path is None and name in PRESETS:
        torch.manual_seed(0)
        model: Network = create_model(name).eval()
        note = "untrained: random weights of seed 0, gates of the routers drawn wide apart"
    else:
        model = store.load(path or Path(name))[0]
        note = "trained"
    if not isinstance(model, MoCEIR):
        raise ModelError(f"{name} does not repair: name a MoCE-IR model or its weights file.")
    if note != "trained":
        with torch.no_grad():
            for block in model.decoder_blocks:
                block.adapter.routing.gate.weight.normal_(0.0, 4.0)
    return model, f"{name}, {note}"


def synthetic(count: int, side: int) -> Tensor:
    """(B, 3, S, S): smoothed noise, each picture with its own color and contrast."""
    generator = torch.Generator().manual_seed(0)
    color = torch.rand(count, 3, 1, 1, generator=generator)
    contrast = torch.rand(count, 1, 1, 1, generator=generator)
    noise = torch.rand(count, 3, side, side, generator=generator)
    smooth = nn.functional.avg_pool2d(noise, 5, 1, 2)
    return color * (1 - contrast) + contrast * torch.where(color > 0.5, smooth, noise)


def photo(path: Path, side: int) -> Tensor:
    """The middle of a photo, (3, h, w) with h, w <= side."""
    pixels = torch.from_numpy(to_float(read_image(path).pixels)).permute(2, 0, 1)
    colors = pixels[:3] if len(pixels) >= 3 else pixels[:1].expand(3, -1, -1)
    top, left = (max(0, length - side) // 2 for length in colors.shape[1:])
    return colors[:, top : top + side, left : left + side].contiguous()


def batch_of(args: argparse.Namespace, count: int, side: int) -> Tensor:
    """The pictures of one timing, (B, 3, S, S): of the photos, degraded by each task in turn."""
    if args.photos is None:
        return synthetic(count, side)
    files, pictures = find_photos(args), []
    for number in range(count):
        task = args.tasks[number % len(args.tasks)]
        clean = photo(files[number % len(files)], side)
        pictures.append(pad_to_multiple(degrade(clean, task, number)[None], side))
    return torch.cat(pictures)


def find_photos(args: argparse.Namespace) -> list[Path]:
    files = list_images(args.photos, recursive=True)[: args.photo_count]
    if not files:
        raise UsageError(f"{args.photos} holds no photo: name a folder of clean photos.")
    return files


def every_expert(model: MoCEIR, size: tuple[int, int], times: int = 1) -> dict[str, float]:
    """`MoCEIR.multiply_adds` where each expert runs on the picture, once or several times."""
    parts = model.multiply_adds(size)
    costs = model.decoder_blocks[0].adapter.costs
    pinned = [
        [Routing(torch.tensor([[number]]), costs)] * len(model.decoder_blocks)
        for number in range(len(costs))
    ]
    experts = times * sum(model.multiply_adds(size, routing)["experts"] for routing in pinned)
    return parts | {"experts": experts, "total": parts["total"] - parts["experts"] + experts}


def plain_extra(model: MoCEIR, size: tuple[int, int]) -> float:
    """Multiply-adds of a picture that only the plain form has: attention times values."""
    multiple = model.size_multiple
    pixels = float(-(-size[0] // multiple) * -(-size[1] // multiple)) * multiple**2
    levels = [*enumerate(model.enc), (3, model.latent), (0, model.refinement)]
    levels += zip((2, 1, 0), model.dec, strict=True)
    total = 0.0
    for level, stage in levels:
        for part in stage.modules():
            if isinstance(part, ChannelAttention | CrossChannelAttention):
                channels, heads = part.project_out.in_channels, len(part.temperature)
                total += channels**2 / heads * pixels / 4**level
    return total


def skipped(model: MoCEIR, routings: Sequence[Routing], size: tuple[int, int]) -> dict[str, float]:
    """Shares of what one picture's routing leaves out of a model with every expert run."""
    ran, every = model.multiply_adds(size, routings), every_expert(model, size)
    sizes, used = [], []
    for block, routing in zip(model.decoder_blocks, routings, strict=True):
        experts = [sum(p.numel() for p in e.parameters()) for e in block.adapter.experts]
        sizes += experts
        used += [experts[number] for number in routing.experts.flatten().tolist()]
    idle = sum(sizes) - sum(used)
    return {
        "activations": 1 - len(used) / len(sizes),
        "experts' multiply-adds": 1 - ran["experts"] / every["experts"],
        "all multiply-adds": 1 - ran["total"] / every["total"],
        "experts' parameters": idle / sum(sizes),
        "all parameters": idle / sum(p.numel() for p in model.parameters()),
    }


def routing_table(model: MoCEIR, args: argparse.Namespace) -> list[str]:
    """What is skipped, by task."""
    side = min(args.sides)
    groups: dict[str, list[Tensor]] = {}
    if args.photos is None:
        groups["synthetic"] = list(synthetic(args.photo_count, side))
    else:
        clean = [photo(path, side) for path in find_photos(args)]
        for task in args.tasks:
            groups[task] = [degrade(image, task, seed) for seed, image in enumerate(clean)]
    rows = []
    for task, pictures in groups.items():
        shares, chosen = [], []
        for picture in pictures:
            with torch.inference_mode():
                routings = model(picture[None]).routings
            shares.append(skipped(model, routings, (picture.shape[1], picture.shape[2])))
            chosen.append(torch.tensor([routing.shares for routing in routings]).mean(dim=0))
        means = [f"{statistics.mean(s[k] for s in shares):.1%}" for k in shares[0]]
        use = " / ".join(f"{share:.0%}" for share in torch.stack(chosen).mean(dim=0).tolist())
        rows.append(f"| {' | '.join([task, str(len(pictures)), *means, use])} |")
    titles = ["task", "pictures", *shares[0], "served by expert, cheapest first"]
    return [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|", *rows]


def resident_mb(field: str) -> float:
    """Resident memory of this process: VmRSS, now, or VmHWM, its peak."""
    status = Path("/proc/self/status")
    if not status.exists():  # on Linux, `ru_maxrss` begins at the peak of the parent
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    line = next(x for x in status.read_text().splitlines() if x.startswith(f"{field}:"))
    return int(line.split()[1]) / 1024


def work(form: str, args: argparse.Namespace, folder: Path) -> None:
    """Run one form in this process, once for each line that is read, and print what it took."""
    torch.set_num_threads(args.threads)
    model, _ = load_model(args.model)
    pictures = torch.load(folder / "pictures.pt")
    masked, ours = form.endswith("all experts"), form.startswith("ours")
    model.motion = None  # the published structure has no such stage
    plain = PlainMoCE(model.config, dense=masked).eval()
    plain.load_state_dict(model.state_dict(), assign=True)  # one copy of the weights

    def run() -> tuple[Tensor, Sequence[Routing]]:
        return model(pictures, masked=masked) if ours else (plain(pictures), ())

    if ours or form.endswith("kept"):
        keep_freed_memory()
    base = resident_mb("VmRSS")
    with torch.inference_mode():
        image, routings = run()[:2]
        torch.save(image.clone(), folder / f"{form}.pt")
        size = (pictures.shape[2], pictures.shape[3])
        # Our masked form runs each expert on a picture once for each of its choices.
        every = every_expert(model, size, model.config.top_k)["total"]
        routed = model.multiply_adds(size, routings or None)["total"]
        print(json.dumps(every if masked else routed), flush=True)
        del image, routings
        for _ in sys.stdin:
            start = time.perf_counter()
            run()
            seconds = time.perf_counter() - start
            peak = resident_mb("VmHWM")
            print(json.dumps([seconds, peak - base, peak]), flush=True)


class Worker:
    """A form in its own process."""

    def __init__(self, form: str, folder: Path, arguments: Sequence[str]) -> None:
        self.form = form
        command = [sys.executable, __file__, *arguments, "--worker", form, "--folder", str(folder)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        with self.process:  # closes the pipes, at which the worker ends, and waits
            pass

    def read(self) -> Any:
        """What the process says next; first, when warm, the multiply-adds of one picture."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process of '{self.form}' ended early, see above")
        return json.loads(line)

    def turn(self) -> list[float]:
        """Run once: seconds, peak MB above that of the loaded process, peak MB of the process."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return list(self.read())


def timing(
    model: MoCEIR, count: int, side: int, args: argparse.Namespace, arguments: Sequence[str]
) -> list[str]:
    """The rows of one size of batch: each form's time, memory, work and difference from plain."""
    forms = list(FORMS) + ["plain, all experts"] * args.plain_dense
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        torch.save(batch_of(args, count, side), folder / "pictures.pt")
        workers = [stack.enter_context(Worker(form, folder, arguments)) for form in forms]
        adds = {worker.form: float(worker.read()) for worker in workers}
        turns = [[worker.turn() for worker in workers] for _ in range(args.repeats)]
        images = [torch.load(folder / f"{form}.pt") for form in forms]
    extra = plain_extra(model, (side, side))
    adds["plain"] = adds["plain, memory kept"] = adds["ours"] + extra  # routed alike
    adds["plain, all experts"] = every_expert(model, (side, side))["total"] + extra
    rows, reference = [], images[0]  # all is compared with the first form, the plain one
    every = [list(zip(*form, strict=True)) for form in zip(*turns, strict=True)]
    medians = [statistics.median(seconds) for seconds, _, _ in every]
    peaks = [max(peaks) for _, peaks, _ in every]
    for place, form in enumerate(forms):
        difference = float((images[place] - reference).abs().max() / reference.std())
        rows.append(
            f"| {count} x {side}x{side} | {form} | {medians[place]:.2f} "
            f"| {min(every[place][0]):.2f} | {medians[0] / medians[place]:.2f}x "
            f"| {peaks[place]:.0f} | {peaks[0] / max(peaks[place], 1e-9):.2f}x "
            f"| {max(every[place][2]):.0f} | {adds[form] * count / 1e9:.2f} | {difference:.1e} |"
        )
    return rows


def numbers(text: str) -> list[int]:
    """Comma-separated counts, 1 or more."""
    values = [int(part) for part in text.split(",")]
    if min(values) < 1:
        raise ValueError
    return values


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", default="moce-ir-s", help="packaged, a preset, or a file")
    parser.add_argument("--sides", type=numbers, default="256,512", help="of the square pictures")
    parser.add_argument("--batches", type=numbers, default="1,4", help="pictures a batch")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--plain-dense", action="store_true", help="plain, all experts, as well")
    parser.add_argument("--photos", type=Path, help="clean photos; default: smoothed noise")
    parser.add_argument("--photo-count", type=int, default=8, help="of the table on routing")
    parser.add_argument("--tasks", default=PHOTO_TASKS, help="degradations of the photos")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.tasks = args.tasks.split(",")
    if min(args.sides) < 8 or min(args.repeats, args.threads, args.photo_count) < 1:
        parser.error("sides start at 8, repeats, threads and photos at 1")
    if unknown := set(args.tasks) - set(TASKS):
        parser.error(f"no such degradation: {', '.join(unknown)}; known are {', '.join(TASKS)}")
    return args


def report(args: argparse.Namespace) -> None:
    """Print both tables, each row as soon as it is known."""
    model, description = load_model(args.model)
    source = "smoothed noise (synthetic)"
    if args.photos is not None:
        source = f"{args.photos.name}, degraded by {', '.join(args.tasks)} in turn (synthetic)"
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    print(f"{description}\npictures: {source}\n{args.threads} threads, torch {torch.__version__}, "
          f"{os.cpu_count()} cores{load}\nprotocol: a process for each form, one run to warm up, "
          f"then {args.repeats} in which the forms take turns; ours and the form so named keep "
          "freed memory; peak above that of the loaded process")  # fmt: skip
    titles = ["pictures", "form", "s, median", "s, fastest", "faster (median)", "peak MB", "less",
              "process MB", "GMAC", "difference / std"]  # fmt: skip
    print(f"\n| {' | '.join(titles)} |\n{'|---' * len(titles)}|", flush=True)
    for side in args.sides:
        for count in args.batches:
            print("\n".join(timing(model, count, side, args, sys.argv[1:])), flush=True)
    chosen, every = model.config.top_k, len(model.config.windows)
    print(f"\nskipped by running {chosen} of {every} experts, mean over single pictures:\n")
    print("\n".join(routing_table(model, args)))


def main() -> None:
    args = parse()
    try:
        if args.worker:
            work(args.worker, args, args.folder)
        else:
            report(args)
    except PixpertsError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
