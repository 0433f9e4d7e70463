# make demo, make test, make check: each sets itself up in .venv first.
PYTHON ?= python3
BIN := .venv/bin
# One thread: tiny matrices are slower on several. By file: what starts processes does it once.
ONE_THREAD := OMP_NUM_THREADS=1

.PHONY: demo notebook test test-fast test-slow test-kernels test-floors trust trust-slow check format lint
.PHONY: types floors docstrings docs explorer lock sbom audit wheel clean

demo: .venv/runtime
	$(BIN)/latently demo --output demo-output --overwrite

test: .venv/dev
	$(ONE_THREAD) $(BIN)/python -m pytest -n auto --dist loadfile -m "not slow and not gpu"

# While writing: without what starts processes, runs the pages, or asks the same of every estimator.
test-fast: .venv/dev
	$(ONE_THREAD) $(BIN)/python -m pytest -n auto --dist loadfile \
		-m "not slow and not gpu and not long and not distributed"

test-slow: .venv/dev
	$(ONE_THREAD) $(BIN)/python -m pytest -n auto --dist loadfile -m "slow"

# Rows alone and in batches, on the kernels of other processors.
KERNELS := ATEN_CPU_CAPABILITY=default ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=SSE4_2 \
	MKL_ENABLE_INSTRUCTIONS=AVX2 MKL_CBWR=AVX2 MKL_CBWR=COMPATIBLE OPENBLAS_CORETYPE=Haswell
test-kernels: .venv/dev
	for kernel in $(KERNELS); do echo $$kernel; env $(ONE_THREAD) $$kernel \
		$(BIN)/python -m pytest -q tests/contract/test_alone.py tests/golden || exit 1; done

# The contract suite with the oldest versions that pyproject.toml allows; torch stays as it is.
FLOORS := .venv/floors
test-floors: $(FLOORS)/ready
	$(ONE_THREAD) PYTHONPATH=src $(FLOORS)/bin/python -m pytest -n auto --dist loadfile \
		-m "not slow and not gpu" tests/contract tests/golden tests/preprocessing

$(FLOORS)/ready: requirements/floors.txt pyproject.toml
	$(PYTHON) -m venv $(FLOORS)
	$(FLOORS)/bin/python -m pip install --quiet torch==2.13.0
	$(FLOORS)/bin/python -m pip install --quiet --requirement requirements/floors.txt \
		--editable ".[pandas,polars,tune]" "dask[dataframe]" "pytest<9" pytest-xdist hypothesis
	touch $@

# The lists of docs/trust.md, and how many cases were run, refused, warned of.
trust: .venv/dev
	$(ONE_THREAD) $(BIN)/python -m pytest -n auto --dist loadfile -m "trust and not slow" -q

trust-slow: .venv/dev
	$(ONE_THREAD) $(BIN)/python -m pytest -n auto --dist loadfile -m "trust and slow" -q

# The notebook of the docs with its outputs; the suite runs its cells and checks its size.
notebook: .venv/dev
	$(ONE_THREAD) $(BIN)/jupyter-execute --inplace docs/first-steps.ipynb

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

# The bundle of the explorer from its lock file: its tests, and the same bytes as in the repository.
explorer:
	cd web/explorer && npm ci --ignore-scripts --no-audit --no-fund && npm test && npm run build
	git diff --exit-code -- src/latently/explorer/assets

# The site, in an environment of its own: build/docs/index.html. A warning is an error.
DOCS := .venv/docs
docs: $(DOCS)/ready
	$(ONE_THREAD) $(DOCS)/bin/python -m sphinx -W --keep-going -b html \
		-d build/doctrees docs build/docs

$(DOCS)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet --constraint constraints.txt torch==2.13.0
	$(DOCS)/bin/python -m pip install --quiet --constraint constraints.txt --editable ".[docs]"
	touch $@

# Every package pinned by its hash, torch by its version: its build suits the machine.
lock: .venv/runtime
	$(BIN)/python tools/lock.py

# What is in the environment, as CycloneDX.
sbom: .venv/runtime .venv/tools
	.venv/tools/bin/cyclonedx-py environment --output-reproducible --output-file sbom.json .venv

# Known vulnerabilities; a package that cannot be looked up is one.
audit: .venv/tools
	.venv/tools/bin/pip-audit --strict --disable-pip --require-hashes --requirement requirements/ci.lock

# The same bytes from the same commit.
wheel: .venv/runtime
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

.venv/runtime: pyproject.toml constraints.txt requirements/ci.lock
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch==2.13.0
ifdef LOCKED
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps --requirement requirements/ci.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
else
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
endif
	touch $@

.venv/dev: .venv/runtime
ifndef LOCKED
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
endif
	touch $@

.venv/tools: .venv/runtime
	$(PYTHON) -m venv .venv/tools
	.venv/tools/bin/python -m pip install --quiet cyclonedx-bom pip-audit

clean:
	rm -rf .venv demo-output build dist sbom.json docs/generated docs/gallery
