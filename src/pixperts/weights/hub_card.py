"""The card of a model on the hub: front matter for its pages, and how to use the model."""

import re

from pixperts.errors import MissingExtraError
from pixperts.models.interfaces import Work
from pixperts.weights.store import Card

_TAGS = {"upscale": "super-resolution", "restore": "image-restoration"}
_CALLS = {"upscale": "upscale(image, scale=2)", "restore": "restore(image)"}


def hub_card(card: Card, does: Work, repo: str = "ORG/NAME") -> str:
    """The text of README.md.

    Args:
        card: of the weights.
        does: what the network does.
        repo: where it will lie.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
    """
    try:
        from huggingface_hub import EvalResult, ModelCardData
    except ImportError as error:
        raise MissingExtraError("The hub", "hub") from error
    quality = _quality(card)
    results = [
        EvalResult(
            task_type="image-to-image",
            dataset_type=re.sub(r"\W+", "-", key).lower(),
            dataset_name=key,
            metric_type="psnr",
            metric_value=value,
        )
        for key, value in quality.items()
    ]
    facts = ModelCardData(
        library_name="pixperts",
        pipeline_tag="image-to-image",
        license=_license(card.license),
        license_name=card.license if _license(card.license) == "other" else None,
        tags=[_TAGS[does], "mixture-of-experts"],
        model_name=card.name,
        eval_results=results or None,
    )
    rows = "".join(f"| {key} | {value} |\n" for key, value in quality.items())
    table = f"\n| set | PSNR, dB |\n|---|---|\n{rows}" if rows else ""
    protocol = card.notes.get("protocol")
    measured = f"\nMeasured: {protocol}.\n" if protocol and rows else ""
    return f"""\
---
{facts.to_yaml()}
---

# {card.name}

A model of pixperts, which repairs and enlarges photographs.

```python
import pixperts

result = pixperts.load("{repo}").{_CALLS[does]}
```

- License of the weights: {card.license}
- Trained on: {card.data}
{table}{measured}"""


def _quality(card: Card) -> dict[str, float]:
    """Measured figures, from notes that may hold anything."""
    found = card.notes.get("quality")
    pairs = found.items() if isinstance(found, dict) else ()
    return {key: value for key, value in pairs if isinstance(value, int | float)}


def _license(text: str) -> str:
    """As the hub spells it: an SPDX name in small letters, else "other".

    >>> _license("Apache-2.0"), _license("Apache-2.0, photos CC0")
    ('apache-2.0', 'other')
    """
    return text.lower() if re.fullmatch(r"[\w.+-]+", text, re.ASCII) else "other"
