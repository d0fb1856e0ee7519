"""Links between the documents lead somewhere, headings included."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("configs/*.md"),
        *ROOT.glob("examples/*.md"),
    ]
)
TOPS = ("", "src/pixperts")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchor(heading: str) -> str:
    """What GitHub makes of a heading.

    >>> anchor("moeisr-tiny: more steps, and `then`")
    'moeisr-tiny-more-steps-and-then'
    """
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def dead_links(path: Path) -> list[str]:
    dead = []
    for link in LINK.findall(path.read_text(encoding="utf-8")):
        name, _, place = link.partition("#")
        if re.match(r"\w+:", link):
            continue
        target = path.parent / name if name else path
        if not target.exists():
            dead.append(link)
        elif place:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            if place not in map(anchor, headings):
                dead.append(link)
    return dead


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    assert dead_links(path) == []


def test_the_architecture_names_modules_that_exist() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+/[\w/]+\.py)`", text))
    assert len(named) > 10
    assert [name for name in named if not any((ROOT / top / name).exists() for top in TOPS)] == []
