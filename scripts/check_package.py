"""Build wheel and sdist, check them, and install the wheel into an empty environment.

python scripts/check_package.py [--torch torch==2.13.0]    # writes dist/; 2 GB of temporary files

What is looked at: metadata (twine), what lies in the archives, that nothing but the dependencies of
pyproject.toml is needed, that the installed program enlarges and repairs a photo from another
folder, and how much processor time its start takes. Needs build and twine beside this Python, or
installs them into the temporary folder.
"""

import argparse
import os
import resource
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples/osprey.jpg"
# Processor seconds, about four times of what was measured (0.04 and 0.3).
IMPORT_TIME, HELP_TIME = 0.2, 1.2
NEEDED = (
    "pixperts/weights/moeisr-photo.safetensors",
    "pixperts/weights/moce-ir-light.safetensors",
    "pixperts/app/assets/osprey.jpg",
    "pixperts/py.typed",
)
UNWANTED = ("tests/", "scripts/", "docs/")


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """Standard output of a command that has to succeed, shown before."""
    words = [str(word) for word in command]
    print("$", *words, flush=True)
    # Neither this source tree nor packages of the user may help the installed one.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(words, cwd=cwd, env=kept, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        print(done.stdout, file=sys.stderr)
        raise SystemExit(f"{' '.join(words)} ended with exit code {done.returncode}.")
    return done.stdout


def processor_time(*command: str | Path, cwd: Path) -> float:
    """Seconds of processor time of a command, the better of two runs."""

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run(*command, cwd=cwd)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return min(once(), once())


def missing(names: Sequence[str]) -> list[str]:
    """What a wheel lacks, and what it should not hold.

    >>> missing([*NEEDED, "tests/test_a.py"])
    ['tests/test_a.py is not wanted']
    """
    lacks = [f"{name} is missing" for name in NEEDED if name not in names]
    return lacks + [f"{name} is not wanted" for name in names if name.startswith(UNWANTED)]


def build(python: Path, out: Path) -> tuple[Path, Path]:
    """Wheel and sdist; the wheel is built from the sdist, so that the sdist suffices."""
    run(python, "-m", "pip", "install", "--quiet", "build", "twine")
    run(python, "-m", "build", "--outdir", out, ROOT)
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    run(python, "-m", "twine", "check", "--strict", wheel, sdist)
    with zipfile.ZipFile(wheel) as archive:
        wrong = missing(archive.namelist())
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    wrong += [f"{name} is not in the sdist" for name in ("CITATION.cff", "tests/conftest.py",
              "mkdocs.yml", "examples/osprey.jpg") if name not in held]  # fmt: skip
    if wrong:
        raise SystemExit("\n".join(wrong))
    return wheel, sdist


def try_out(python: Path, folder: Path) -> None:
    """Use what is installed, from a folder that knows nothing of this one."""
    command = python.with_name("pixperts")
    print(run(command, "--version", cwd=folder).strip())
    run(command, "upscale", EXAMPLE, "-o", "large.png", "--scale", "1.5", cwd=folder)
    run(command, "restore", EXAMPLE, "-o", "good.jpg", cwd=folder)
    code = "import pixperts; print(pixperts.read_image('large.png').pixels.shape)"
    shape = run(python, "-c", code, cwd=folder).strip()
    if shape != "(540, 720, 3)":
        raise SystemExit(f"large.png should be 720 x 540 pixels, but has the shape {shape}.")
    for words, most in (
        ((python, "-c", "import pixperts"), IMPORT_TIME),
        ((command, "--help"), HELP_TIME),
    ):
        seconds = processor_time(*words, cwd=folder)
        print(f"{seconds:.2f} s of processor time, at most {most}")
        if seconds > most:
            raise SystemExit(f"{words[-1]} takes {seconds:.2f} s, more than {most}.")


def main() -> int:
    """Build, check, install, try out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--torch", default="torch", help="what to install first, for its build")
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    args = parser.parse_args()
    if args.out.exists() and any(args.out.iterdir()):
        raise SystemExit(f"{args.out}: is not empty; remove it first.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tools, empty = folder / "tools", folder / "empty"
        for environment in (tools, empty):
            run(sys.executable, "-m", "venv", environment)
        wheel, _ = build(tools / "bin/python", args.out.absolute())
        python = empty / "bin/python"
        run(python, "-m", "pip", "install", "--quiet", args.torch)
        run(python, "-m", "pip", "install", "--quiet", wheel)
        run(python, "-m", "pip", "check")
        try_out(python, folder)
    print(f"{wheel.name} works in an empty environment")
    return 0


if __name__ == "__main__":
    sys.exit(main())
