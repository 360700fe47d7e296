# Two commands: `make report` trains, measures and reports; `make test` checks everything. Both make what they need.
SUITE ?= quick
PYTHON ?= python3
BIN := .venv/bin

.PHONY: report test check benchmark clean

report: .venv/installed
	$(BIN)/equibench run $(SUITE)
	$(BIN)/equibench report results/$(SUITE) --out reports/$(SUITE)

test: check
	$(BIN)/pytest

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

benchmark: .venv/installed
	mkdir -p results/benchmarks
	$(BIN)/pytest tests/benchmarks -q --benchmark-json=results/benchmarks/$$(date -u +%Y%m%dT%H%M%SZ).json

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[fid,dev]'
	mkdir -p .venv/tree
	ln -sfn ../../bench .venv/tree/equibench
	ln -sfn ../../models .venv/tree/equibench_models
	touch $@

clean:
	rm -rf .venv
