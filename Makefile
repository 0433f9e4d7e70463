# make demo, make test, make check: each sets itself up in .venv first.
PYTHON ?= python3
BIN := .venv/bin
# One thread: tiny matrices are slower on several.
ONE_THREAD := OMP_NUM_THREADS=1

.PHONY: demo test test-slow trust trust-slow check format lint types floors docstrings clean

demo: .venv/runtime
	$(BIN)/latently demo --output demo-output --overwrite

test: .venv/dev
	$(ONE_THREAD) $(BIN)/python -m pytest -n auto -m "not slow and not gpu"

test-slow: .venv/dev
	$(ONE_THREAD) $(BIN)/python -m pytest -n auto -m "slow"

# The lists of docs/trust.md, and how many cases were run, refused, warned of.
trust: .venv/dev
	$(ONE_THREAD) $(BIN)/python -m pytest -n auto -m "trust and not slow" -q

trust-slow: .venv/dev
	$(ONE_THREAD) $(BIN)/python -m pytest -n auto -m "trust and slow" -q

check: lint types floors docstrings test

format: .venv/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/dev
	$(BIN)/mypy

floors: .venv/dev
	$(BIN)/lint-imports --no-logo

docstrings: .venv/dev
	$(BIN)/python tests/docstrings.py

.venv/runtime: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/dev: .venv/runtime
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:
	rm -rf .venv demo-output build dist
