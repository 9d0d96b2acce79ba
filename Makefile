# `make demo` and `make test` set everything up themselves; they need Python 3.11 to 3.13 and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
READY := $(VENV)/.ready
PAGES := README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md docs notebooks benchmarks/RESULTS.md benchmarks/gpu/README.md

# Bytecode is kept: each of a hundred processes of the tests would compile torch anew.
export PYTHONDONTWRITEBYTECODE =

.PHONY: demo test test-all lint format types docs clean

$(READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -x $(UV) || $(BIN)/python -m pip install --quiet uv
	VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet -e '.[dev]'
	touch $(READY)

demo: $(READY)
	$(BIN)/sapiens2-lit demo

test: lint types
	$(BIN)/python -m pytest -n auto --durations=20

test-all: lint types
	$(BIN)/python -m pytest -n auto --durations=20 -m 'exhaustive or not exhaustive'

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell $(PAGES)

# An editable install hides the mapped folders from mypy: check an installed tree.
types: $(READY)
	rm -rf .types build
	VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps --target .types .
	MYPYPATH=.types $(BIN)/mypy -p sapiens2_lit

# Strict: a broken link, a missing page or heading, something fetched over the network is an error.
docs: $(READY)
	$(BIN)/python docs/site/build.py

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .types build dist site *.egg-info .mypy_cache .pytest_cache .ruff_cache
