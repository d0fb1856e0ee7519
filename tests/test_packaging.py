"""What packagers use: the recipe, the Dockerfile, completion, `python -m pixperts`."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

import pixperts
from pixperts.cli.app import COMMANDS, main
from tests.helpers.command_line import one_sentence, shell

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONDA = {"torch": "pytorch", "pyvips[binary]": "pyvips"}


def test_the_recipe_names_what_the_wheel_requires() -> None:
    recipe = yaml.safe_load((ROOT / "packaging/conda/recipe.yaml").read_text(encoding="utf-8"))
    assert recipe["context"]["version"] == pixperts.__version__
    entries = recipe["build"]["python"]["entry_points"]
    assert entries == [f"pixperts = {PROJECT['scripts']['pixperts']}"]
    wanted = set()
    for line in PROJECT["dependencies"]:
        name, bound = re.fullmatch(r"([\w\[\]-]+)(>=.*)", line).groups()  # type: ignore[union-attr]
        wanted.add(f"{CONDA.get(name, name)} {bound}")
    given = set(recipe["requirements"]["run"]) - {"libvips", "python >=${{ python_min }}"}
    assert given == wanted


def test_the_container_runs_as_nobody_in_particular() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    words = [line.split() for line in lines]
    assert ["USER", "1000"] in words
    assert 'ENTRYPOINT ["pixperts"]' in lines
    copied = [word for line in words if line[:1] == ["COPY"] for word in line[1:-1]]
    assert all((ROOT / name).exists() for name in copied)
    kept = (ROOT / ".dockerignore").read_text().split()
    assert {f"!{name}" for name in copied} <= set(kept)


def test_bash_completes_commands_and_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "completion"
    script.write_text(capsys.readouterr().out)

    def completed(*words: str) -> set[str]:
        line = " ".join(f"'{word}'" for word in words)
        code = f"source '{script}'; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; "
        code += '_pixperts; printf "%s\\n" "${COMPREPLY[@]}"'
        done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
        return {word.strip() for word in done.stdout.splitlines()}

    assert completed("pixperts", "up") == {"upscale"}
    assert set(COMMANDS) <= completed("pixperts", "")
    assert completed("pixperts", "upscale", "--scal") == {"--scale"}
    assert completed("pixperts", "restore", "--strengt") == {"--strength"}
    for other in ("zsh", "fish"):
        assert main(["completion", other]) == 0
        assert "pixperts" in capsys.readouterr().out
    assert main(["completion", "tcsh"]) == 2
    assert "must be bash, zsh or fish" in one_sentence(capsys)


@pytest.mark.slow
def test_the_module_is_the_command() -> None:
    done = shell("-m", "pixperts", "--version")
    assert done.stdout == f"pixperts {pixperts.__version__}\n"
