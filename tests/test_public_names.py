"""The public names of each package, their documentation, and what README and docs name."""

import ast
import pkgutil
import re
from importlib import import_module
from pathlib import Path

import pytest

import pixperts

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PACKAGES = ["pixperts", *(f"pixperts.{m.name}" for m in pkgutil.iter_modules(pixperts.__path__)
                          if m.ispkg)]  # fmt: skip


def public(package: str) -> list[str]:
    names: list[str] = import_module(package).__all__
    return names


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_there_and_documented(package: str) -> None:
    if package == "pixperts.training":
        pytest.importorskip("lightning", reason="needs the train extra")
    module = import_module(package)
    assert len(set(public(package))) == len(public(package)) > 0
    for name in public(package):
        found = getattr(module, name)
        assert found.__doc__ or not callable(found), name  # constants have comments
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nothing'"):
        getattr(module, "nothing")  # noqa: B009


def test_the_page_of_names_lists_them_all() -> None:
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(pixperts[\w.]*)` \| (.*) \|$", text, re.MULTILINE)
    listed = {package: re.findall(r"`(\w+)`", names) for package, names in rows}
    assert listed == {package: public(package) for package in listed}
    assert sorted(listed) == sorted(PACKAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_use_public_names(page: Path) -> None:
    """What code blocks import from a package, or take from `pixperts`, is in its `__all__`."""
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M)
    for block in blocks:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pixperts"):
                assert node.module in PACKAGES, (page.name, node.module)
                assert {alias.name for alias in node.names} <= set(public(node.module))
            is_name = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
            if is_name and node.value.id == "pixperts":  # type: ignore[attr-defined]
                assert node.attr in pixperts.__all__, (page.name, node.attr)  # type: ignore[attr-defined]
