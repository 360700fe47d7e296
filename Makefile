# Two commands: `make report` trains, measures and reports; `make test` checks everything. Both make what they need.
SUITE ?= quick
PYTHON ?= python3
# `make pytest VERSIONS=lowest` tests with the oldest versions that pyproject.toml allows
VERSIONS ?= newest
BIN := .venv/bin
INSTALL_newest = $(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
INSTALL_lowest = $(BIN)/pip install --quiet --disable-pip-version-check uv && \
	VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --resolution lowest-direct -e '.[dev]'

# Tests run in two processes of one thread each. Those of a file share one, as they share what it sets up; benchmarks are
# for a process alone.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile -p no:benchmark

.PHONY: report gate test pytest slow check benchmark lock clean

# A run with a cell that is not ok (exit code 3, docs/exit-codes.md) is reported too, and ends with its code. `run` has
# written the report by then; the second call fails where the first could only leave a note.
report: .venv/installed
	code=0; $(BIN)/equibench run $(SUITE) || code=$$?; \
	if [ $$code -eq 0 ] || [ $$code -eq 3 ]; then \
		$(BIN)/equibench report results/$(SUITE) --out reports/$(SUITE) || exit; \
	fi; \
	exit $$code

# This commit against the baseline in baselines/ci, which `equibench baseline` makes. A cell that is not ok is checked
# too, and ends it.
gate: .venv/installed
	code=0; $(BIN)/equibench run ci --device cpu --workers 2 --threads 1 --out results/ci --no-report || code=$$?; \
	if [ $$code -eq 0 ] || [ $$code -eq 3 ]; then \
		$(BIN)/equibench check results/ci --baseline baselines/ci --confirm 3 --markdown results/gate.md || exit; \
	fi; \
	exit $$code

test: check pytest

pytest: .venv/installed
	$(PYTEST)

slow: .venv/installed
	$(PYTEST) -m slow

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

benchmark: .venv/installed
	mkdir -p results/benchmarks
	$(BIN)/pytest tests/benchmarks -q --benchmark-json=results/benchmarks/$$(date -u +%Y%m%dT%H%M%SZ).json

# Names, versions and hashes of what a container holds, in the versions that the tests here run with. No address of an
# index or a file is written.
lock: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	$(BIN)/pip freeze --exclude-editable | grep == > .venv/versions.txt
	$(BIN)/uv pip compile --quiet pyproject.toml --universal --python-version 3.11 --constraint .venv/versions.txt \
		--extra cluster --extra datasets --extra diffusers --extra energy --extra hub --extra tune --generate-hashes --no-annotate \
		--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' --output-file requirements/lock.txt

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(INSTALL_$(VERSIONS))
	mkdir -p .venv/tree
	ln -sfn ../../bench .venv/tree/equibench
	ln -sfn ../../models .venv/tree/equibench_models
	touch $@

clean:
	rm -rf .venv
