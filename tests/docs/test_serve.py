"""The examples of docs/serve.md: their syntax, and that the program takes their lines."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pixperts.cli.app import main
from pixperts.serve import server
from pixperts.serve.access import OPEN
from pixperts.serve.options import VARIABLE, ServeOptions
from pixperts.serve.parameters import OPERATIONS, fields_for

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "examples/serve/kubernetes.yaml"
PAGE = ROOT / "docs/serve.md"
TOKEN = "0123456789abcdef"


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[ServeOptions, Any]]:
    """What the command would serve with."""
    found: list[tuple[ServeOptions, Any]] = []
    monkeypatch.setenv(VARIABLE, TOKEN)
    monkeypatch.setattr(server, "serve", lambda *given: found.append(given))
    return found


def test_the_deployment_of_kubernetes(taken: list[tuple[ServeOptions, Any]]) -> None:
    deployment, service = yaml.safe_load_all(KUBERNETES.read_text(encoding="utf-8"))
    assert (deployment["apiVersion"], deployment["kind"]) == ("apps/v1", "Deployment")
    assert (service["apiVersion"], service["kind"]) == ("v1", "Service")
    template = deployment["spec"]["template"]
    labels = template["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert service["spec"]["selector"] == labels
    pod = template["spec"]
    (container,) = pod["containers"]
    assert main(container["args"]) == 0
    ((options, loading),) = taken
    options.check_access()
    (port,) = container["ports"]
    assert port["containerPort"] == options.port
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[name]["httpGet"] == {"path": OPEN[0], "port": port["name"]}
    assert VARIABLE in {one["name"] for one in container["env"]}
    wait = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > options.timeout + wait
    assert loading.max_memory < int(container["resources"]["limits"]["memory"][:-2]) * 2**30
    assert {one["name"] for one in container["volumeMounts"]} <= {
        one["name"] for one in pod["volumes"]
    }


def test_the_container_has_the_service() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"/build\[[a-z,]*\bserve\b[a-z,]*\]", text)
    assert f"EXPOSE {ServeOptions().port}" in text


def test_the_lines_of_the_page_are_taken(taken: list[tuple[ServeOptions, Any]]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    lines = re.findall(r"^pixperts (serve[^#\n]*)", text, re.MULTILINE)
    assert len(lines) >= 3
    for line in lines:
        assert main(line.split()) == 0
    assert len(taken) == len(lines)
    for name, query in re.findall(r"localhost:8000/(restore|upscale|enhance)\?([^\"'\s]+)", text):
        keys = {pair.partition("=")[0].replace("-", "_") for pair in query.split("&")}
        assert keys <= fields_for(name).keys()


def test_the_page_names_every_parameter_and_the_example() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in OPERATIONS:
        for key in fields_for(name):
            assert f"`{key}`" in text, key
    assert f"(../{KUBERNETES.relative_to(ROOT)})" in text
