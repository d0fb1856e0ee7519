"""Plain LIIF against our dense and routed decoders: one run, same weights, picture, threads.

    python benchmarks/upscale.py [--scale 4] [--width 192] [--height 128] [--repeat 3]

Each candidate runs in a process of its own, so that its peak memory is its own. Printed: seconds
(fastest of the repeats, after one to warm up), peak resident memory above that of the loaded
process, analytic multiply-adds, and the rate as a fraction of this machine's sgemm rate.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))

from pixperts.memory import keep_freed_memory
from pixperts.models.moeisr.config import MoEISRConfig
from pixperts.models.moeisr.model import MoEISR
from pixperts.weights import store
from pixperts.weights.packaged import packaged_models
from plain_liif import PlainLIIF

CANDIDATES = ("plain", "dense", "routed 1.0", "routed", "routed 0.5", "routed 0.25", "routed 0.0")


def dense_part(model: MoEISR) -> MoEISR:
    """The mixture's encoder, embedding and deepest expert as a dense model."""
    options = model.config.__dict__ | {
        "depths": model.config.depths[-1:],
        "widths": model.config.widths[-1:],
        "neighbors": (),
        "neck": 0,
    }
    dense = MoEISR(MoEISRConfig(**options))
    deepest = f"experts.{len(model.experts) - 1}."
    state = {
        key.replace(deepest, "experts.0."): value
        for key, value in model.state_dict().items()
        if key.startswith(("encoder.", "embedding.", deepest))
    }
    dense.load_state_dict(state)
    return dense.eval()


def mixture(weights: Path | None) -> MoEISR:
    """The given or packaged mixture."""
    path = weights or packaged_models()["moeisr-liif-edsr"]
    model = store.load(path)[0]
    assert isinstance(model, MoEISR)
    return model


def sgemm_rate() -> float:
    """Multiply-adds a second of a 2048 x 2048 x 2048 product: the machine's matrix rate."""
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    best = min(timed(lambda: a @ b) for _ in range(8))
    return 2048.0**3 / best


def timed(run: object) -> float:
    """Seconds of one call."""
    assert callable(run)
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure(candidate: str, weights: Path | None, args: argparse.Namespace) -> dict[str, float]:
    """Time one candidate in this process."""
    torch.set_num_threads(args.threads)
    model = mixture(weights)
    lr = torch.rand(1, 3, args.height, args.width, generator=torch.Generator().manual_seed(0))
    lr = torch.nn.functional.avg_pool2d(lr, 5, 1, 2)
    if args.picture:
        from pixperts.io.image import read_image
        from pixperts.ops.pixels import to_float

        pixels = torch.from_numpy(to_float(read_image(args.picture).pixels)).permute(2, 0, 1)
        lr = pixels[None, :, : args.height, : args.width].contiguous()
    size = (round(lr.shape[2] * args.scale), round(lr.shape[3] * args.scale))
    dense = dense_part(model)
    lr_size = (lr.shape[2], lr.shape[3])
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with torch.inference_mode():
        if candidate == "plain":
            plain = PlainLIIF(dense)
            pixels_out = float(size[0] * size[1])
            mlp = sum(m.weight.numel() for m in plain.mlp if isinstance(m, torch.nn.Linear))
            encoder = dense.multiply_adds(lr_size, size)["encoder"]
            adds, decode_adds = encoder + 4 * mlp * pixels_out, 4 * mlp * pixels_out

            def run() -> object:
                return plain(lr, size)

            encode = lambda: dense.encoder(lr * 2 - 1)  # noqa: E731
        else:
            keep_freed_memory()  # as the command line does
            routed = candidate.startswith("routed")
            network = model if routed else dense
            budget = float(candidate.split()[1]) if " " in candidate else None
            output = network(lr, size, budget=budget)
            shares = output.routings[0].shares if output.routings else None
            parts = network.multiply_adds(lr_size, size, shares)
            adds, decode_adds = parts["total"], parts["total"] - parts["encoder"]

            def run() -> object:
                return network(lr, size, budget=budget)

            def encode() -> object:
                return network.encode(lr.contiguous(memory_format=torch.channels_last))

        run()
        seconds = min(timed(run) for _ in range(args.repeat))
        encoding = min(timed(encode) for _ in range(args.repeat))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        rate = sgemm_rate()
    return {
        "seconds": seconds,
        "decode_seconds": seconds - encoding,
        "peak_mb": (peak - base) / 1024,
        "gmacs": adds / 1e9,
        "of_sgemm": adds / seconds / rate,
        "decode_of_sgemm": decode_adds / (seconds - encoding) / rate,
    }


def main() -> None:
    """Run every candidate and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--weights", type=Path, help="a mixture on LIIF; default: the packaged")
    parser.add_argument("--picture", type=Path, help="default: smoothed noise, synthetic")
    parser.add_argument("--scale", type=float, default=4.0)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--height", type=int, default=128)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--candidate", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.candidate:
        print(json.dumps(measure(args.candidate, args.weights, args)))
        return
    rows: dict[str, dict[str, float]] = {}
    for candidate in CANDIDATES:
        command = [sys.executable, __file__, *sys.argv[1:], "--candidate", candidate]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        rows[candidate] = json.loads(done.stdout.splitlines()[-1])
    source = args.picture.name if args.picture else "smoothed noise (synthetic)"
    print(f"{source}, {args.width}x{args.height} x{args.scale:g}, {args.threads} threads, "
          f"torch {torch.__version__}")  # fmt: skip
    print("| form | seconds | faster | decode s | faster | peak MB | less | GMAC | of sgemm "
          "| decode of sgemm |\n|---|---|---|---|---|---|---|---|---|---|")  # fmt: skip
    plain = rows["plain"]
    for name, row in rows.items():
        print(
            f"| {name} | {row['seconds']:.2f} | {plain['seconds'] / row['seconds']:.2f}x "
            f"| {row['decode_seconds']:.2f} "
            f"| {plain['decode_seconds'] / row['decode_seconds']:.2f}x "
            f"| {row['peak_mb']:.0f} | {plain['peak_mb'] / max(row['peak_mb'], 1e-9):.1f}x "
            f"| {row['gmacs']:.1f} | {row['of_sgemm']:.0%} | {row['decode_of_sgemm']:.0%} |"
        )


if __name__ == "__main__":
    main()
