# make demo: see it work. make test: trust it. Both need only Python 3.11 or later and make.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PYTEST_ARGS ?=
# Most tests wait for processes most of the time, so there are more workers than a small machine has cores. "-n 0" in PYTEST_ARGS: one process.
TEST_WORKERS ?= 4

.PHONY: demo test test-long check bench format clean help

help:
	@echo "make demo    set up, then run the streaming example from its bundles"
	@echo "make test    set up, then run all tests"
	@echo "make test-long  the tests that take minutes"
	@echo "make check   format, lint, types, import layers, build"
	@echo "make bench   benchmarks against the plain limit and against peers (bench-quick: without peers)"

# One environment, made anew when pyproject.toml changes; the stamp says with which extras it was made.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "fnkit needs Python 3.11 or later; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: $(VENV)/.made pyproject.toml
	@echo "setting up $(VENV) ..."
	@$(BIN)/python -m pip install -q -e '.[demo]'
	@touch $@

$(VENV)/.test: $(VENV)/.made pyproject.toml
	@echo "setting up $(VENV) for the tests ..."
	@$(BIN)/python -m pip install -q -e '.[test]'
	@touch $@

$(VENV)/.dev: $(VENV)/.made pyproject.toml
	@echo "setting up $(VENV) for development ..."
	@$(BIN)/python -m pip install -q -e '.[dev]'
	@touch $@

demo: $(VENV)/.demo
	@$(BIN)/python examples/streaming/demo.py

test: $(VENV)/.test
	@$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist worksteal $(PYTEST_ARGS)

test-long: $(VENV)/.test
	@$(BIN)/python -m pytest -m long $(PYTEST_ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	rm -rf build/dist
	$(BIN)/python -m build --outdir build/dist .

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.dev
	$(BIN)/python -m tests.benchmarks

bench-quick: $(VENV)/.dev
	$(BIN)/python -m tests.benchmarks --no-peers --quick

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache $(VENV) .venv-*
