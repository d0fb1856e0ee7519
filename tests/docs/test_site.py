"""The documentation site: what it shows, and that its check finds what is wrong."""

import doctest
import pkgutil
from pathlib import Path
from types import ModuleType

import pytest

import make_site
import pixperts
import reference_pages

ROOT = Path(__file__).parents[2]
NAMED = list(make_site.pages(make_site.settings()["nav"]))
PLAIN = '<html><body><h1 id="top">T</h1><a href="b.html#part">b</a></body></html>'


@pytest.mark.parametrize("module", [make_site, reference_pages])
def test_examples_of_docstrings(module: ModuleType) -> None:
    done = doctest.testmod(module)
    assert done.attempted > 0
    assert done.failed == 0


def test_every_document_is_in_the_navigation() -> None:
    documents = [*ROOT.glob("docs/**/*.md"), *ROOT.glob("configs/*.md"), ROOT / "README.md"]
    documents += [ROOT / "LAB.md", ROOT / "CHANGELOG.md", ROOT / "examples/README.md"]
    missing = {str(path.relative_to(ROOT)) for path in documents} - set(NAMED)
    assert missing == set(), "name them in mkdocs.yml"
    assert len(set(NAMED)) == len(NAMED)


def test_every_package_has_a_page_of_reference() -> None:
    found = pkgutil.iter_modules(pixperts.__path__)
    packages = ["pixperts", *(f"pixperts.{one.name}" for one in found if one.ispkg)]
    shown = [Path(name).stem for name in NAMED if name.startswith(make_site.REFERENCE)]
    assert sorted(shown) == sorted(packages)
    page = make_site.reference_page("pixperts.ops")
    assert "::: pixperts.ops.bicubic\n" in page


def test_pages_come_with_what_they_link_to(tmp_path: Path) -> None:
    make_site.gather(tmp_path)
    assert all((tmp_path / name).is_file() for name in NAMED)
    assert (tmp_path / "docs/images/sheet.jpg").is_file()
    assert (tmp_path / "src/pixperts/training/config.py").is_file()
    assert not (tmp_path / "src/pixperts/__init__.py").exists()


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Two pages without a fault."""
    (tmp_path / "a.html").write_text(PLAIN)
    (tmp_path / "b.html").write_text('<h2 id="part">P</h2><a href="a.html">a</a><img src="x.png">')
    assert list(make_site.faults(tmp_path)) == []
    return tmp_path


@pytest.mark.parametrize(
    "bad",
    [
        '<script src="https://cdn.example.org/x.js"></script>',
        '<link rel="stylesheet" href="//fonts.example.org/css">',
        '<link rel="preconnect" href="https://fonts.example.org">',
        '<img srcset="x.png 1x, https://example.org/y.png 2x">',
        '<p style="background: url(https://example.org/y.png)">',
    ],
)
def test_a_load_from_another_host_is_found(site: Path, bad: str) -> None:
    (site / "c.html").write_text(f"<a href='https://example.org'>waits for a click</a>{bad}")
    assert ["c.html: loads" in fault for fault in make_site.faults(site)] == [True]


def test_styles_are_searched_as_well(site: Path) -> None:
    (site / "x.css").write_text("@import '//example.org/y.css'; p { color: red }")
    assert list(make_site.faults(site)) == ["x.css: loads //example.org/y.css"]


@pytest.mark.parametrize(
    ("link", "fault"),
    [("none.html", "leads nowhere"), ("b.html#no", "names no heading"), ("#no", "no heading")],
)
def test_a_dead_link_is_found(site: Path, link: str, fault: str) -> None:
    (site / "c.html").write_text(f'<a href="{link}">x</a>')
    assert [fault in found for found in make_site.faults(site)] == [True]


def test_an_empty_site_is_a_fault(tmp_path: Path) -> None:
    assert len(list(make_site.faults(tmp_path))) == 1
