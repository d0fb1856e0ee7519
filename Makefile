# make demo   enlarge the sample photos with the packaged weights, results in out/
# make test   the whole test suite, in WORKERS processes (2)
# make quick  the same without the tests that are marked slow
# make check  ruff, mypy --strict and the layers of the packages
# make docs   the documentation site in build/site, checked: links, headings, no load from other hosts
# make gallery  docs/gallery.md: before and after, from the photos of examples/
# make package  wheel and sdist in dist/, checked, and installed into an empty environment
# Each makes the virtual environment that it needs; PYTHON names another interpreter (3.11+), TORCH
# another torch, such as torch==2.4.1 or plain torch for the newest.
PYTHON ?= python3
WORKERS ?= 2
TORCH ?= torch==2.13.0
PYTEST = .venv/bin/python -m pytest -n $(WORKERS) --dist worksteal
# All pinned versions but that of torch, which TORCH names. pip compiles nothing, as most modules of
# such large packages are never imported. Python compiles a module when it imports it, and must be
# allowed to keep the result, or every process takes ten seconds to start.
unexport PYTHONDONTWRITEBYTECODE
PIP_FLAGS = --quiet --disable-pip-version-check --no-compile -c $(@D)/constraints.txt

.PHONY: demo test quick check docs package gallery benchmark clean

demo: .venv-demo/ready
	.venv-demo/bin/python examples/demo.py --out out

test: .venv/ready
	$(PYTEST)

quick: .venv/ready
	$(PYTEST) -m "not slow"

check: .venv/ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

docs: .venv/ready
	.venv/bin/python scripts/make_site.py

package:
	$(PYTHON) scripts/check_package.py --torch '$(TORCH)'

gallery: .venv/ready
	.venv/bin/python scripts/gallery.py

benchmark: .venv/ready
	.venv/bin/python benchmarks/upscale.py

# torch goes first and alone: its exact version decides which build pip takes.
.venv-demo/ready: pyproject.toml constraints.txt $(shell find src -type f -not -path '*/__pycache__/*')
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=... demo" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv-demo
	grep -v '^torch==' constraints.txt > $(@D)/constraints.txt
	.venv-demo/bin/pip install $(PIP_FLAGS) '$(TORCH)'
	.venv-demo/bin/pip install $(PIP_FLAGS) --force-reinstall --no-deps .
	.venv-demo/bin/pip install $(PIP_FLAGS) .
	touch $@

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=... test" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	grep -v '^torch==' constraints.txt > $(@D)/constraints.txt
	.venv/bin/pip install $(PIP_FLAGS) '$(TORCH)'
	.venv/bin/pip install $(PIP_FLAGS) -e '.[dev]'
# Without what it requires: torchvision, which the CPU build of torch has only on its own index.
	.venv/bin/pip install $(PIP_FLAGS) --no-deps spandrel einops
	touch $@

clean:
	rm -rf .venv .venv-demo out build dist .mypy_cache .ruff_cache .import_linter_cache .pytest_cache
