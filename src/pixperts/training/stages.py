"""Recipes: weights that are made by several trainings, one after the other.

A recipe is a YAML file with `stages`, a list of training configurations, each with a `name`. It may
have `all`, fields for every stage; `cache`, from what the cache of patches is made; `price`, the
price of a unit of cost in the packaged weights (see scripts/package.py); and `motion`, weights with
a stage for motion blur. A stage starts from the weights of the one before, unless it has an `init`.
A stage may have another `model` than `all`; it takes the fields of `all` that such a training has,
except `model_options` and `frozen`.
"""

import math
import time
import typing
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from pixperts.errors import UsageError
from pixperts.training.config import TrainConfig, config_class
from pixperts.training.fields import convert, read_yaml, shown


@dataclass(frozen=True)
class CacheRecipe:
    """From what `scripts/cache_patches.py` makes a cache of patches."""

    photos: tuple[str, ...]  # folders
    exclude: tuple[str, ...] = ()  # file names left out
    degraded: bool = False  # compress and degrade the small patches, as photos often are
    chunks: int = 480  # number of chunks, see `data.patch_cache`
    seed: int = 0


@dataclass(frozen=True)
class Recipe:
    """Trainings one after the other.

    Attributes:
        stages: name and configuration of each, in order.
        cache: of the patches that they read; None: they read photos.
        price: of a unit of cost in the packaged weights, 0 or more.
        motion: weights from which the packaged ones take the stage for motion blur.
    """

    stages: tuple[tuple[str, TrainConfig], ...]
    cache: CacheRecipe | None = None
    price: float = 0.0
    motion: str | None = None

    @staticmethod
    def from_yaml(path: Path, cache: Path | None = None) -> "Recipe":
        """Read a recipe; relative folders start from the current directory.

        Args:
            path: of the YAML file.
            cache: the folder of the cache, if the recipe has one.

        Raises:
            UsageError: the file cannot be read, or a field is unknown, missing or not allowed.
            ModelError: a model is unknown.
        """
        values = read_yaml(path)
        if not isinstance(values, dict) or not isinstance(values.get("stages"), list):
            raise UsageError(f"{path}: a recipe needs a list of stages.")
        known = ("all", "cache", "motion", "price", "stages")
        if unknown := sorted(values.keys() - set(known)):
            raise UsageError(
                f"{path}: unknown field {unknown[0]!r}: choose from {', '.join(known)}."
            )
        common = dict(values.get("all", {}))
        if cache is not None and "cache" in values:
            common["cache"] = str(cache)
        stages = []
        for number, own in enumerate(values["stages"]):
            if not isinstance(own, dict) or not isinstance(own.get("name"), str):
                raise UsageError(f"{path}: stage {number + 1} needs a name.")
            shared = common
            if "model" in own and own["model"] != common.get("model"):
                known_there = config_class(own["model"]).__dataclass_fields__
                own_of_a_model = ("model_options", "frozen")
                shared = {
                    key: value
                    for key, value in common.items()
                    if key in known_there and key not in own_of_a_model
                }
            fields = shared | {key: value for key, value in own.items() if key != "name"}
            stages.append((own["name"], TrainConfig.from_dict(fields, f"{path}, {own['name']}")))
        if not stages or len({name for name, _ in stages}) < len(stages):
            raise UsageError(f"{path}: there must be stages, each with a name of its own.")
        made, price = values.get("cache"), values.get("price", 0.0)
        if not isinstance(price, int | float) or not 0 <= price < math.inf:
            raise UsageError(f"{path}: price is {price!r}, but must be a number of 0 or more.")
        motion = values.get("motion")
        if motion is not None and not isinstance(motion, str):
            raise UsageError(f"{path}: motion is {motion!r}, but must be a model's name or file.")
        read = None if made is None else _cache_of(made, path)
        return Recipe(tuple(stages), read, float(price), motion)


def _cache_of(values: Any, path: Path) -> CacheRecipe:
    hints = typing.get_type_hints(CacheRecipe)
    if not isinstance(values, dict) or "photos" not in values:
        raise UsageError(f"{path}: cache needs at least 'photos', a list of folders.")
    found = {}
    for key, value in values.items():
        if key not in hints:
            raise UsageError(
                f"{path}: unknown field {key!r} of cache: choose from {sorted(hints)}."
            )
        try:
            found[key] = convert(value, hints[key])
        except (TypeError, ValueError) as error:
            kind = shown(hints[key])
            raise UsageError(f"{path}: {key} of cache is {value!r}, but must be {kind}.") from error
    return CacheRecipe(**found)


def train_stages(
    stages: Sequence[tuple[str, TrainConfig]], folder: Path, limit: timedelta | None = None
) -> Path | None:
    """Train the stages of a recipe, each in a folder of its name.

    Stages that are finished are skipped. After a limit, an interrupt or a kill, another call
    continues where the last one ended.

    Args:
        stages: of a recipe, by name.
        folder: of the whole run.
        limit: stop after this time, but not before one step; the run is saved.

    Returns:
        The path of the weights of the last stage, or None if the limit came first.

    Raises:
        UsageError, DataError, ModelError: as `run.train`.
    """
    from pixperts.training.run import train  # Lightning

    end = None if limit is None else time.monotonic() + limit.total_seconds()
    weights: Path | None = None
    trained = False
    for name, config in stages:
        if config.init is None and weights is not None:
            config = replace(config, init=str(weights))
        place = folder / name
        weights = place / "last.safetensors"
        steps = steps_done(place)
        if steps is None:
            weights.unlink(missing_ok=True)  # of a run that was killed before its first checkpoint
        if steps is None or steps < config.max_steps:
            left = None if end is None else end - time.monotonic()
            if trained and left is not None and left <= 0:
                return None
            print(f"stage {name}, from step {steps or 0} of {config.max_steps}", flush=True)
            rest = None if left is None else timedelta(seconds=max(0.0, left))
            train(config, place, max_time=rest, resume=steps is not None)
            trained = True
            if (steps_done(place) or 0) < config.max_steps:
                return None
    return weights


def steps_done(folder: Path) -> int | None:
    """Number of steps in the newest checkpoint of a run; None if there is none."""
    import torch

    from pixperts.training.checkpoints import newest

    path = newest(folder)
    if path is None:
        return None
    return int(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["global_step"])
