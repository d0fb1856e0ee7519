"""Measure routing signatures on photos, and how often they recognize the right task.

The signature of a task is the typical choice of experts for pictures that have its fault.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from pixperts.data.restoration import degraded_or_clean
from pixperts.errors import UsageError
from pixperts.inference.analysis import Array, Signatures, signature

if TYPE_CHECKING:
    from pixperts.inference.restorer import Restorer

_SHARPNESS = tuple(2.0 ** (-step / 2) for step in range(13))  # 1 down to 1/64


def measure_signatures(
    restorer: "Restorer", photos: Sequence[Tensor], tasks: Sequence[str]
) -> tuple[Signatures, dict[str, float]]:
    """Measure the signature of each task on photos degraded by it, and how often it is right.

    Args:
        restorer: a model that repairs.
        photos: uint8 (3, H, W); photo i is degraded with seed i.
        tasks: names of `tasks.TASKS`, and "clean".

    Returns:
        The signatures of all photos, and for each task the share of photos recognized when
        signatures are fitted to the other half of the photos.

    Raises:
        UsageError: there are fewer than four photos.
    """
    if len(photos) < 4:
        raise UsageError("routing signatures are measured on at least four photos.")
    features: dict[str, Array] = {}
    for task in tasks:
        found = []
        for number, photo in enumerate(photos):
            degraded = degraded_or_clean(photo.float() / 255, task, number)
            found.append(signature(restorer.restore_with_routing(degraded)[1]))
        features[task] = np.stack(found)
    return fit_and_check(features)


def fit_and_check(features: dict[str, Array]) -> tuple[Signatures, dict[str, float]]:
    """Fit signatures, and measure them by cross-validation with two halves.

    Signatures that are fitted to few photos in many dimensions are too sure of themselves, so that
    probabilities are flattened as far as fits the other half best.

    Args:
        features: (N, F) of each task, one row a photo.

    Returns:
        The signatures of all photos, and for each task the share of photos that is recognized when
        signatures are fitted to the other half.

    Raises:
        UsageError: a task has fewer than four photos.
    """
    if any(len(rows) < 4 for rows in features.values()):
        raise UsageError("routing signatures are measured on at least four photos.")
    right = dict.fromkeys(features, 0)
    likelihoods = np.zeros(len(_SHARPNESS))
    for held in (0, 1):
        fitted = Signatures.fit({t: rows[1 - held :: 2] for t, rows in features.items()})
        variants = [fitted.sharpened(factor) for factor in _SHARPNESS]
        for task, rows in features.items():
            for row in rows[held::2]:
                right[task] += fitted.nearest(row)[0][0] == task
                shares = [dict(variant.nearest(row))[task] for variant in variants]
                likelihoods += np.log(np.maximum(shares, 1e-300))
    sharpness = _SHARPNESS[int(likelihoods.argmax())]
    shares_right = {task: right[task] / len(rows) for task, rows in features.items()}
    return Signatures.fit(features).sharpened(sharpness), shares_right
