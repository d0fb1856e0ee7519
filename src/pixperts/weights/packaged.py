"""The trained models that ship inside the package, and how a name or a path becomes a file.

Every command and function that takes a model by name finds its weights here.
"""

import os
from pathlib import Path

from pixperts.errors import ModelError, UnknownModelError
from pixperts.io.urls import local_name
from pixperts.weights.hub import FILE, fetch, hub_name

WEIGHTS = Path(__file__).parent


def packaged_models() -> dict[str, Path]:
    """Names and files of the trained models that ship inside the package."""
    return {path.stem: path for path in sorted(WEIGHTS.glob("*.safetensors"))}


def weights_file(name_or_path: str | Path, *, offline: bool = False) -> Path:
    """The file of a packaged model's name or of a repository of the hub, or the path itself.

    What exists as a path is one; a folder is one that `save_pretrained` wrote.

    Args:
        name_or_path: a name that `pixperts models` lists, a .safetensors file of ours or a folder
            with one, or "org/name" or "org/name@revision" on the hub.
        offline: only look into the cache of the hub's files.

    Raises:
        UnknownModelError: for an unknown name, or a URL.
        ModelError: for weights that have to be converted first, or that the hub does not give.
            Whether there is a file of a path is left to whoever opens it.
        MissingExtraError: for a repository, where huggingface_hub is not installed.

    Example:
        >>> weights_file("moeisr-tiny") == packaged_models()["moeisr-tiny"]
        True
        >>> weights_file("my.safetensors").name
        'my.safetensors'
    """
    text, packaged = local_name(str(name_or_path)), packaged_models()
    if "://" in text and not os.path.lexists(text):
        raise UnknownModelError(
            f"{text} is a URL, but models are files of this machine, or 'org/name' on the hub: "
            "copy it to a file, and give its path."
        )
    path = packaged.get(text, Path(text))
    there = text in packaged or os.path.exists(path)
    if not there and (repository := hub_name(text)) is not None:
        return fetch(repository, offline=offline)
    if os.path.isdir(path) and (path / FILE).is_file():
        return path / FILE
    if not there and not path.suffix:
        from pixperts.models.presets import PRESETS

        if text in PRESETS:
            raise UnknownModelError(
                f"model {text!r} is an architecture without packaged weights: train it and give "
                f"the path of its weights file, or choose from {', '.join(packaged) or 'none'}."
            )
        raise UnknownModelError(
            f"unknown model {text!r}: choose from {', '.join(packaged) or 'none'}, or give the "
            "path of a weights file, or 'org/name' for a model of the hub."
        )
    if path.suffix.lower() in {".pth", ".pt", ".ckpt"}:
        raise ModelError(
            f"{path}: published PyTorch weights are used after 'pixperts convert {path} "
            f"{path.stem}.safetensors'."
        )
    return path
