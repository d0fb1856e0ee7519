"""Train the stage that sees motion blur (`models/motion.py`) and put it into a MoCE-IR's weights.

    python scripts/train_motion.py WEIGHTS TARGET --photos FOLDER [FOLDER ...] --validation FOLDER

Half of the samples are photos with straight motion blur as `degradations` draws it, some with a
little noise or compression on top; all others must be recognized as "none": clean photos, every
other degradation, and blur under noise too strong to undo it. All degradations are synthetic.
Prints how far the vectors are off and how often blur is seen, on validation photos, whole.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from experiments_list import SAMPLES
from pixperts.data.photos import load_photos
from pixperts.data.restoration import CLEAN, cut_and_turn, degraded_or_clean
from pixperts.degradations.camera import jpeg
from pixperts.degradations.noise import gaussian_noise
from pixperts.degradations.tasks import TASKS, degrade, draw_parameters
from pixperts.models.moce_ir.model import MoCEIR
from pixperts.models.moce_ir.motion import (
    LONGEST,
    SURE_OF_MOTION,
    MotionStage,
    cepstrum,
    cepstrum_sums,
)
from pixperts.weights import store
from pixperts.weights.packaged import weights_file

SIDES = (128, 384)  # of the training patches: small pictures have few windows to tell by
NARROW = 0.7  # standard deviation, in pixels, of what counts as the right vector
OTHERS = tuple(task for task in TASKS if task != "blur")


def sample(photo: Tensor, random: np.random.Generator) -> tuple[Tensor, float, float]:
    """A cepstrum (1, 49, 25), and the length and angle of the motion; length 0 is none."""
    side = min(int(random.integers(*SIDES, endpoint=True)), *photo.shape[1:])
    (clean,), _ = cut_and_turn([photo], side, random)
    seed = int(random.integers(2**31))
    kind = random.random()
    length, angle = 0.0, 0.0
    if kind < 0.56:
        image = degrade(clean, "blur", seed)
        drawn = draw_parameters("blur", seed)["blur"]
        noisy = kind >= 0.5
        if noisy:  # beyond repair by a filter
            sigma = random.uniform(4, 25)
            image = gaussian_noise(image, sigma=sigma, seed=seed, clip=True, quantize=True)
        else:
            length, angle = drawn["length"], drawn["angle"]
        if 0.3 < kind < 0.4:
            sigma = random.uniform(0.2, 1.5)
            image = gaussian_noise(image, sigma=sigma, seed=seed, clip=True, quantize=True)
        elif 0.4 <= kind < 0.5:
            image = jpeg(image, quality=int(random.integers(88, 99)))
    else:
        task = CLEAN if kind < 0.75 else str(random.choice(OTHERS))
        image = degraded_or_clean(clean, task, seed)
        if task == CLEAN and kind < 0.6:
            image = jpeg(image, quality=int(random.integers(60, 99)))
    return cepstrum(cepstrum_sums(image[None]))[0], length, angle


def targets(lengths: Tensor, angles: Tensor) -> Tensor:
    """What the logits should say: (N, 862), a small hill on the vector and on its opposite."""
    radians = torch.deg2rad(angles)
    across, down = lengths * radians.cos(), -lengths * radians.sin()
    rows, columns = torch.meshgrid(
        torch.arange(-LONGEST, LONGEST + 1), torch.arange(LONGEST + 1), indexing="ij"
    )
    hill = torch.zeros(len(lengths), rows.numel())
    for sign in (1, -1):
        away = (columns.flatten() - sign * across[:, None]) ** 2
        away = away + (rows.flatten() - sign * down[:, None]) ** 2
        hill += (-away / (2 * NARROW**2)).exp()
    still = lengths == 0
    hill[still] = 0
    return F.normalize(torch.cat([still[:, None].float(), hill], dim=1), p=1, dim=1)


def fit(stage: MotionStage, cepstra: Tensor, wanted: Tensor, epochs: int) -> None:
    """Train the stage on cepstra (N, 1, 49, 25)."""
    stage.mean.copy_(cepstra.mean(dim=0))
    stage.spread.copy_(cepstra.std(dim=0) + 1e-3)
    stage.whole.bias.zero_()
    stage.requires_grad_(True).train()
    batch, rate = 64, 2e-3
    steps = epochs * (len(cepstra) // batch)
    optimizer = torch.optim.AdamW(stage.parameters(), lr=rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    for _ in range(epochs):
        order = torch.randperm(len(cepstra))
        for places in order[: len(order) // batch * batch].split(batch):
            loss = F.cross_entropy(stage.logits(cepstra[places]), wanted[places])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    stage.requires_grad_(False).eval()


def check(stage: MotionStage, photos: Sequence[Tensor]) -> None:
    """Print what the stage makes of whole photos, task by task."""
    for task in ("blur", CLEAN, *OTHERS):
        seen, errors = 0, []
        for number, photo in enumerate(photos):
            image = degraded_or_clean(photo.float() / 255, task, number)
            motion = stage.estimate(image[None])
            seen += int(motion.none[0] < SURE_OF_MOTION)
            if task == "blur":
                drawn = draw_parameters(task, number)[task]
                vectors = [
                    length * np.exp(1j * np.radians(angle))
                    for length, angle in (
                        (float(motion.length[0]), float(motion.angle[0])),
                        (drawn["length"], drawn["angle"]),
                    )
                ]
                errors.append(min(abs(vectors[0] - vectors[1]), abs(vectors[0] + vectors[1])))
        line = f"{task}: motion seen in {seen} of {len(photos)} photos"
        if errors:
            line += f"; off by {np.median(errors):.2f} pixels (median), {max(errors):.2f} at most"
        print(line, flush=True)


def main() -> None:
    """Make samples, train, write, check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", help="packaged model or weights file of a MoCE-IR")
    parser.add_argument("target", type=Path)
    parser.add_argument("--photos", type=Path, nargs="+", required=True)
    parser.add_argument("--exclude", nargs="*", default=SAMPLES, help="names of photos left out")
    parser.add_argument("--validation", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=6000)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--checked", type=int, default=41, help="validation photos")
    args = parser.parse_args()
    source, card = store.load(weights_file(args.weights))
    if not isinstance(source, MoCEIR):
        parser.error(f"{args.weights} holds no MoCE-IR: name weights that repair.")
    torch.manual_seed(0)
    random = np.random.Generator(np.random.PCG64(0))
    photos = load_photos(args.photos, args.exclude, min_side=256)
    found = [sample(photos[int(random.integers(len(photos)))], random) for _ in range(args.samples)]
    cepstra = torch.stack([cepstra for cepstra, _, _ in found])
    wanted = targets(torch.tensor([x[1] for x in found]), torch.tensor([x[2] for x in found]))
    model = MoCEIR(replace(source.config, motion=True))
    model.load_state_dict(model.state_dict() | source.state_dict())
    assert model.motion is not None
    fit(model.motion, cepstra, wanted, args.epochs)
    store.save(args.target, model, card)
    check(model.motion, load_photos([args.validation])[: args.checked])


if __name__ == "__main__":
    main()
