"""The layers of moce-ir-light in torch, OpenVINO and ONNX Runtime: seconds, pixels, start-up.

    pixperts export moce-ir-light --to onnx --part detail --expert 2,1,0,1 -o detail.onnx
    python benchmarks/repair_runtimes.py detail.onnx --expert 2,1,0,1 [--model NAME]
        [--photo FILE] [--rounds 3] [--repeats 3] [--threads 1]

All repair one photo with noise of 25 levels, with these experts; the scout and the tone head, which
stay in torch in any case, are not part of it. Each form runs in a process of its own, and in each
round the forms take turns. Printed: processor seconds per megapixel (the fastest of all repeats),
the largest difference to torch in float32 in levels of 255, and processor seconds until the model
or graph is open.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pixperts.cli.convert import parse_experts
from pixperts.export.engines import onnxruntime_engine, openvino_engine
from pixperts.export.repair_forms import DetailForm
from pixperts.io import read_image
from pixperts.memory import keep_freed_memory
from pixperts.models.moce_ir_light.model import MoCEIRLight
from pixperts.weights import store
from pixperts.weights.packaged import weights_file

FORMS = (
    ("torch", "float32"),
    ("torch", "bfloat16"),
    ("openvino", "float32"),
    ("openvino", "bfloat16"),
    ("onnxruntime", "float32"),
)
PHOTO = Path(__file__).parents[1] / "examples" / "colosseum.jpg"


def measure(args: argparse.Namespace, form: str, result: Path) -> dict[str, float]:
    """One form in this process; its picture goes to a file."""
    torch.set_num_threads(args.threads)
    keep_freed_memory()  # as the command line does
    model, _ = store.load(weights_file(args.model))
    assert isinstance(model, MoCEIRLight)
    model.eval().prepare(torch.device("cpu"))
    detail = DetailForm(model, parse_experts(args.expert))
    pixels = np.asarray(read_image(args.photo).pixels, np.float32)[:, :, :3] / 255
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous()
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    image = (image + 25 / 255 * noise).clamp(0, 1)
    runtime, precision = form.split()
    with torch.inference_mode():
        inputs = image, model.scout(model.count(image)), torch.zeros(1, 2), torch.ones(1, 3)
        started = time.process_time()
        if runtime == "openvino":
            engine = openvino_engine(args.graph, precision)
        elif runtime == "onnxruntime":
            engine = onnxruntime_engine(args.graph)
        else:
            half = torch.autocast("cpu", torch.bfloat16) if precision == "bfloat16" else None

            def engine(*given: Tensor) -> tuple[Tensor, ...]:
                with half or nullcontext():
                    return tuple(detail.reference(*given))

        ready = time.process_time() - started
        (repaired,) = engine(*inputs)  # warm up
        seconds = []
        for _ in range(args.repeats):
            started = time.process_time()
            (repaired,) = engine(*inputs)
            seconds.append(time.process_time() - started)
    np.save(result, repaired.numpy())
    area = image.shape[2] * image.shape[3] / 1e6
    return {"seconds": min(seconds) / area, "ready": ready}


def main() -> None:
    """Run every form in turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("graph", type=Path)
    parser.add_argument("--expert", required=True)
    parser.add_argument("--model", default="moce-ir-light")
    parser.add_argument("--photo", type=Path, default=PHOTO)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--form", help=argparse.SUPPRESS)
    parser.add_argument("--result", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.form:
        print(json.dumps(measure(args, args.form, args.result)))
        return
    found: dict[str, list[dict[str, float]]] = {}
    pictures: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory(prefix="pixperts-") as folder:
        result = Path(folder) / "result.npy"
        for _ in range(args.rounds):
            for form in map(" ".join, FORMS):
                command = [sys.executable, __file__, *sys.argv[1:]]
                command += ["--form", form, "--result", str(result)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                found.setdefault(form, []).append(json.loads(done.stdout.splitlines()[-1]))
                pictures[form] = np.load(result)
    print(f"{args.photo.name}, experts {args.expert}, {args.threads} threads")
    print("| runtime | precision | core-s/MP | faster | levels off | to open, core-s |")
    print("|---|---|---|---|---|---|")
    usual = min(row["seconds"] for row in found["torch float32"])
    exact = pictures["torch float32"]
    for form, rows in found.items():
        seconds = min(row["seconds"] for row in rows)
        off = 255 * float(np.abs(pictures[form] - exact).max())
        print(
            f"| {form.replace(' ', ' | ')} | {seconds:.3f} | {usual / seconds:.2f}x | {off:.3f} "
            f"| {min(row['ready'] for row in rows):.2f} |"
        )


if __name__ == "__main__":
    main()
