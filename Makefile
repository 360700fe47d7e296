# Two commands: `make report` trains, measures and reports; `make test` checks everything. Both make what they need.
SUITE ?= quick
PYTHON ?= python3
# `make pytest VERSIONS=lowest` tests with the oldest versions that pyproject.toml allows
VERSIONS ?= newest
BIN := .venv/bin
INSTALL_newest = $(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
INSTALL_lowest = $(BIN)/pip install --quiet --disable-pip-version-check uv && \
	VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --resolution lowest-direct -e '.[dev]'

.PHONY: report test pytest slow check benchmark clean

report: .venv/installed
	$(BIN)/equibench run $(SUITE)
	$(BIN)/equibench report results/$(SUITE) --out reports/$(SUITE)

test: check pytest

pytest: .venv/installed
	$(BIN)/pytest

slow: .venv/installed
	$(BIN)/pytest -m slow

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

benchmark: .venv/installed
	mkdir -p results/benchmarks
	$(BIN)/pytest tests/benchmarks -q --benchmark-json=results/benchmarks/$$(date -u +%Y%m%dT%H%M%SZ).json

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(INSTALL_$(VERSIONS))
	mkdir -p .venv/tree
	ln -sfn ../../bench .venv/tree/equibench
	ln -sfn ../../models .venv/tree/equibench_models
	touch $@

clean:
	rm -rf .venv
