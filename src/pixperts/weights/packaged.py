"""The trained models that ship inside the package, and how a name or a path becomes a file.

Every command and function that takes a model by name finds its weights here.
"""

import os
from pathlib import Path

from pixperts.errors import ModelError, UnknownModelError

WEIGHTS = Path(__file__).parent


def packaged_models() -> dict[str, Path]:
    """Names and files of the trained models that ship inside the package."""
    return {path.stem: path for path in sorted(WEIGHTS.glob("*.safetensors"))}


def weights_file(name_or_path: str | Path) -> Path:
    """The file of a packaged model's name, or the path itself.

    Args:
        name_or_path: a name that `pixperts models` lists, or a .safetensors file of ours.

    Raises:
        UnknownModelError: for an unknown name.
        ModelError: for weights that have to be converted first. Whether there is such a file is
            left to whoever opens it.

    Example:
        >>> weights_file("moeisr-tiny") == packaged_models()["moeisr-tiny"]
        True
        >>> weights_file("my.safetensors").name
        'my.safetensors'
    """
    text, packaged = str(name_or_path), packaged_models()
    path = packaged.get(text, Path(name_or_path))
    if text not in packaged and not path.suffix and not os.path.exists(path):
        raise UnknownModelError(
            f"unknown model {text!r}: packaged are {', '.join(packaged) or 'none'}; "
            "a weights file is given by its path."
        )
    if path.suffix.lower() in {".pth", ".pt", ".ckpt"}:
        raise ModelError(
            f"{path}: published PyTorch weights are used after 'pixperts convert {path} "
            f"{path.stem}.safetensors'."
        )
    return path
