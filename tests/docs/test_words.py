"""Plain American English: the words that stay out of documents, messages, docstrings, comments.

The list stands here and nowhere else. Identifiers are not looked at, nor what stands in backticks,
nor strings of one word, which are keys; LAB.md, docs/lab and CHANGELOG.md keep their history.
"""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSTEAD = {
    r"dear|dearer|dearest": "expensive, most expensive",
    r"told": "reported, printed, named",
    r"ask(s|ed)? for": "requires, wants",
    r"go(es|ing)? on|went on": "continues",
    r"be had": "is available",
    r"wish(es)?": "options, wants",
    r"likeliest": "most probable",
    r"any more": "no longer",
    r"lets? (others|strangers) in": "admits",
    r"(dis)?colou?rs?ation|(un)?colour\w*": "color",
    r"licen[c]e\w*": "license",
    r"neighbour\w*": "neighbor",
    r"\w*grey\w*": "gray",
    r"centre[ds]?|centring": "center",
    r"artefacts?": "artifact",
    r"behaviour\w*": "behavior",
    r"(un)?favour\w*": "favor",
    r"analys(e|ed|ing)": "analyze",
    r"(un)?(equal|initial|normal|optim|quant|real|recogn|special)is(e\w?|ing|ation)": "-ize",
    r"spoilt|learnt|burnt|spelt": "spoiled, learned, burned, spelled",
    r"labelled|modelled|travelled|cancelled": "one l",
}  # fmt: skip
# From Python 3.12 on, f-strings come in parts.
_PROSE = (tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", -1))
WORDS = re.compile(rf"\b({'|'.join(f'(?:{words})' for words in INSTEAD)})\b", re.IGNORECASE)
IN_BACKTICKS = re.compile(r"``?[^`\n]+``?")
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def documents() -> list[Path]:
    found = [*ROOT.glob("docs/**/*.md"), *ROOT.glob("configs/**/*.md"), *ROOT.glob("examples/*.md")]
    found += [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    found += [ROOT / "CODE_OF_CONDUCT.md", *ROOT.glob("configs/**/*.yaml")]
    return sorted(path for path in found if ROOT / "docs/lab" not in path.parents)


def programs() -> list[Path]:
    folders = ("src", "scripts", "benchmarks", "examples")
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def prose(source: str) -> Iterator[tuple[int, str]]:
    """Comments and strings of more than a word, with the line on which they begin."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        text = token.string
        if token.type == tokenize.STRING and re.match("(?i)r?f", text):
            text = re.sub(r"\{[^{}]*\}", lambda code: " " * len(code[0]), text)
        text = re.sub(r"^ *(>>>|\.\.\.) .*$", "", text, flags=re.MULTILINE)  # code
        if token.type in _PROSE and (token.type == tokenize.COMMENT or re.search(r"\s", text)):
            yield token.start[0], text


def bad_words(text: str) -> Iterator[tuple[int, str]]:
    """Line (from 0) and word.

    >>> list(bad_words("told\\n`told`, untold; The DEAREST"))
    [(0, 'told'), (1, 'DEAREST')]
    """
    text = IN_BACKTICKS.sub(lambda code: " " * len(code[0]), text)
    for found in WORDS.finditer(text):
        yield text.count("\n", 0, found.start()), found[0]


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_are_in_plain_english(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".yaml":  # keys and values are the program's
        text = "\n".join(line.partition("#")[2] for line in text.splitlines())
    text = FENCED.sub(lambda code: "\n" * code[0].count("\n"), text)
    assert [f"{path}:{line + 1}: {word}" for line, word in bad_words(text)] == []


@pytest.mark.slow
def test_programs_are_in_plain_english() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{start + line}: {word}"
        for path in programs()
        for start, text in prose(path.read_text(encoding="utf-8"))
        for line, word in bad_words(text)
    ]
    assert found == []
