"""Fill a cache of training patches with a teacher's answers, before a training or beside it.

    python scripts/cache_patches.py CACHE --photos FOLDER [FOLDER ...] --teachers FOLDER
        [--degraded] [--chunks 480] [--keep N] [--writer 0/2]

Patches are cut, reduced (with --degraded: blurred, noisy, compressed) and shown to the teachers:
SMFANet+ at 2, 3, 4 and, its answer reduced, between; liif-edsr below 2. A chunk is 64 patches of
one scale, 7 to 26 MB; one whose file is there is not made again, so the command can be stopped and
given again at any time. With --keep the oldest chunks make room for new ones; several writers, each
with its own --writer, share the work. A training reads it by its field `cache`.
"""

import argparse
import math
import sys
import time
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from pixperts.data.patch_cache import chunk_path, claim, list_chunks
from pixperts.data.patch_writing import ChunkMaker, Teacher, next_to_make
from pixperts.data.photos import load_photos
from pixperts.hardware import fastest_precision
from pixperts.models.presets import as_upscaler
from pixperts.ops.resize import bicubic
from pixperts.weights import store
from pixperts.weights.packaged import weights_file
from teachers import smfanet

TEACHERS = Path(__file__).resolve().parents[2] / "shared" / "teachers"


def teacher_team(folder: Path) -> Teacher:
    """One teacher for all scales: the better of two where each is good, by Set5.

    Args:
        folder: of the weights of SMFANet+.
    """
    whole = {scale: smfanet.load(folder, scale) for scale in smfanet.SCALES}
    below = as_upscaler(store.load(weights_file("liif-edsr"))[0]).eval()
    half = fastest_precision() == "bfloat16"

    def teach(lr: Tensor, side: int) -> Tensor:
        factor = side / lr.shape[-1]
        if factor < 2:
            image: Tensor = below(lr, (side, side)).image
            return image
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            answer = whole[math.ceil(factor)](lr.contiguous(memory_format=torch.channels_last))
        answer = answer.float().clamp(0, 1)
        return answer if answer.shape[-1] == side else bicubic(answer, (side, side))

    return teach


def main() -> None:
    """Read the command line and fill."""
    parser = argparse.ArgumentParser()
    parser.add_argument("cache", type=Path)
    parser.add_argument("--photos", type=Path, nargs="+", required=True)
    parser.add_argument("--exclude", nargs="*", default=[], help="file names to leave out")
    parser.add_argument("--teachers", type=Path, default=TEACHERS, help="weights of SMFANet+")
    parser.add_argument("--degraded", action="store_true", help="LR as photos have it")
    parser.add_argument("--chunks", type=int, default=480, help="how many are made in all")
    parser.add_argument("--keep", type=int, help="how many are there at most; all when unset")
    parser.add_argument("--writer", default="0/1", help="this one of so many, such as 1/2")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    first, step = map(int, args.writer.split("/"))
    keep = args.keep or args.chunks
    torch.set_num_threads(1)
    photos = load_photos(args.photos, args.exclude)
    args.cache.mkdir(parents=True, exist_ok=True)
    settings = {"seed": args.seed, "degraded": args.degraded, "photos": len(photos)}
    claim(args.cache, settings)
    maker = ChunkMaker(photos, teacher_team(args.teachers), seed=args.seed, degraded=args.degraded)
    for number in next_to_make(list(list_chunks(args.cache)), args.chunks, keep, first, step):
        if chunk_path(args.cache, number).exists():
            continue
        started = time.perf_counter()
        maker.write(args.cache, number)
        for old in list_chunks(args.cache):
            if old <= number - keep:
                chunk_path(args.cache, old).unlink(missing_ok=True)
        print(f"chunk {number}: {time.perf_counter() - started:.1f} s", flush=True)


if __name__ == "__main__":
    main()
