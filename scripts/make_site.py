"""Build the documentation site, and check what was built.

python scripts/make_site.py    # reads mkdocs.yml, writes build/site

The site shows the repository's own documents under their own paths, so that a link leads to the
same place here and in the files. The pages of the Python reference are made from the docstrings.
"""

import argparse
import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

ROOT = Path(__file__).parents[1]
SETTINGS = ROOT / "mkdocs.yml"
LINK = re.compile(r"\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"")
REFERENCE = "docs/reference"
# Attributes by which a browser loads something by itself. Links of <a> wait for a click.
LOADED = {"src", "srcset", "poster", "data"}
STYLE_URL = re.compile(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')\s]+)")


class Loose(yaml.SafeLoader):
    """Reads mkdocs.yml, whose tags name Python functions, without calling them."""


Loose.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: None)


def settings() -> dict[str, Any]:
    """What mkdocs.yml says."""
    loaded: dict[str, Any] = yaml.load(SETTINGS.read_text(encoding="utf-8"), Loose)
    return loaded


def pages(nav: Any) -> Iterator[str]:
    """The paths that a navigation names, in its order.

    >>> list(pages([{"Start": [{"Home": "README.md"}]}, "docs/cli.md"]))
    ['README.md', 'docs/cli.md']
    """
    if isinstance(nav, str):
        yield nav
    else:
        for one in nav.values() if isinstance(nav, dict) else nav:
            yield from pages(one)


def reference_page(package: str) -> str:
    """The Markdown of a package's reference: its docstring, then each public name."""
    module = import_module(package)
    parts = [f"# {package}\n\n{(module.__doc__ or '').strip()}\n"]
    parts += [f"\n::: {package}.{name}\n" for name in module.__all__]
    return "".join(parts)


def gather(folder: Path) -> None:
    """Copy the pages and the files that they link to; make the pages of the reference."""
    waiting = list(pages(settings()["nav"]))
    seen = set(waiting)
    while waiting:
        name = waiting.pop()
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if name.startswith(f"{REFERENCE}/"):
            target.write_text(reference_page(Path(name).stem), encoding="utf-8")
            continue
        shutil.copyfile(ROOT / name, target)
        if not name.endswith(".md"):
            continue
        for link in map("".join, LINK.findall(target.read_text(encoding="utf-8"))):
            path = posixpath.normpath(posixpath.join(posixpath.dirname(name), link.split("#")[0]))
            if ":" not in link and path not in seen and (ROOT / path).is_file():
                seen.add(path)
                waiting.append(path)


class Page(HTMLParser):
    """Collects the anchors of a page, its links, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Sort the attributes of a tag."""
        values = {name: value or "" for name, value in attrs}
        self.anchors.update(values[name] for name in ("id", "name") if name in values)
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag == "link" and values.get("rel") not in ("canonical", "alternate"):
            self.loads.append(values.get("href", ""))
        for name in LOADED & values.keys():
            self.loads += [part.split()[0] for part in values[name].split(",") if part.strip()]
        self.loads += STYLE_URL.findall(values.get("style", ""))


def is_external(address: str) -> bool:
    """Whether an address is on another host.

    >>> [is_external(one) for one in ("https://a.org/b", "//a.org/b", "../b", "data:image/png,")]
    [True, True, False, False]
    """
    return bool(urlsplit(address).netloc)


def faults(site: Path) -> Iterator[str]:
    """What is wrong with a built site: loads from other hosts, links that lead nowhere."""
    found = {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    if not found:
        yield f"{site}: no pages"
    for path, page in sorted(found.items()):
        where = path.relative_to(site)
        yield from (f"{where}: loads {one}" for one in page.loads if is_external(one))
        for link in page.links:
            target = urlsplit(link)
            if target.scheme or target.netloc or path.name == "404.html":
                continue
            file = path.parent / unquote(target.path) if target.path else path
            file = (file / "index.html" if file.is_dir() else file).resolve()
            if not file.exists():
                yield f"{where}: {link} leads nowhere"
            elif file in found and target.fragment not in ("", *found[file].anchors):
                yield f"{where}: {link} names no heading"
    for style in site.rglob("*.css"):
        for address in STYLE_URL.findall(style.read_text(encoding="utf-8")):
            yield f"{style.relative_to(site)}: loads {address}"


def main() -> int:
    """Build and check; 1 if something is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.parse_args()
    given = settings()
    source, site = ROOT / given["docs_dir"], ROOT / given["site_dir"]
    shutil.rmtree(source, ignore_errors=True)
    gather(source)
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    command += ["-f", str(SETTINGS)]
    done = subprocess.run(command, cwd=ROOT, check=False)
    if done.returncode != 0:
        return 1
    wrong = list(faults(site))
    print(*wrong, sep="\n", end="\n" if wrong else "", file=sys.stderr)
    print(f"{len(list(site.rglob('*.html')))} pages in {site}: {len(wrong)} faults")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
