# Everything that is needed is set up in .venv on the first call.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp

.PHONY: env demo test test-fast test-cluster soak bench lint docs clean

env: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --group dev -e .
	touch $@

demo: env
	$(BIN)/python -m tests.support.demo

test: env
	$(BIN)/python -m pytest -m "not cluster and not soak"

test-fast: env
	$(BIN)/python -m pytest -m "not cluster and not broker and not soak"

test-cluster: env
	$(BIN)/python -m pytest -m cluster

# Full scale: about 40 GB of disk where temporary files lie (TMPDIR), and the better part of an hour.
soak: env
	$(BIN)/python -m pytest -m soak -s tests/soak

bench: env
	$(BIN)/python -m benchmarks --json build/bench.json $(BENCH)

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/validate-pyproject pyproject.toml

docs: env
	$(BIN)/python -m kafka_salvage.cli.document > docs/cli.md
	$(BIN)/python -m kafka_salvage.wire.document > docs/format.md
	$(BIN)/python -m tests.support.capture

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
