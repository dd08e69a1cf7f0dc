# Two commands on a fresh machine: `make demo` and `make test`. Both set up .venv first and re-use it afterwards.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Test workers. Each keeps to one thread, so two of them fill two cores.
JOBS ?= 2
# Each worker begins with an equal part of the tests, in order, so that fixtures of a file are mostly made once; one that
# is done takes over half of what the other has left. A worker that dies ends the run.
WORKERS := -n $(JOBS) --dist worksteal --max-worker-restart=0
PYTEST := $(BIN)/pytest $(WORKERS)
# What `make test-instruction-sets` runs: files or folders; all tests if empty.
TESTS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all test-instruction-sets test-minimum check lint format docs web-engines wheel node clean

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-21s %s\n", $$1, $$2}'

setup: $(STAMP) ## make .venv with everything that work on the project needs

# The stamp is younger than what it was made from, or the environment is brought up to date.
# Not compiled now: of 18,000 modules most are never imported, and Python compiles the others when they are.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "facevalue needs Python 3.11 or newer, but $(PYTHON) is $$($(PYTHON) -V 2>&1); run: make PYTHON=/path/to/python3" >&2; exit 1; }
	@test -x $(BIN)/python || { echo "making $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing into $(VENV) (some minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e '.[dev]'
	@touch $(STAMP)
	@echo "ready: $(BIN)/facevalue"

demo: setup ## train, judge, attack, explain and export a small model on real images
	@$(BIN)/facevalue demo

test: setup check ## the whole check: lint, format, types, import floors, doctests, README, tests
	@$(PYTEST)

test-all: setup check web-engines ## the same with the slow tests, and coverage, which must not fall
	@$(PYTEST) -m "not gpu and not network" --cov --cov-report=term

test-instruction-sets: setup ## all tests twice, with the processor's instruction set and the next lower one
	@$(BIN)/python tools/instruction_sets.py $(WORKERS) $(TESTS)

# Libraries this old warn that what they use of newer ones is deprecated; that is no fault of ours.
test-minimum: $(VENV)-minimum/.installed web-engines ## the tests with the oldest versions that pyproject.toml allows
	@$(VENV)-minimum/bin/pytest $(WORKERS) \
	  -W ignore::DeprecationWarning -W ignore::PendingDeprecationWarning -W ignore::FutureWarning

$(VENV)-minimum/.installed: pyproject.toml constraints-minimum.txt
	@test -x $(VENV)-minimum/bin/python || { echo "making $(VENV)-minimum"; $(PYTHON) -m venv $(VENV)-minimum; }
	@echo "installing the oldest versions into $(VENV)-minimum (some minutes the first time)"
	@$(VENV)-minimum/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-minimum.txt -e '.[dev]'
	@touch $@

# What runs networks in a browser: fetched with npm, compared with known hashes, never committed.
ENGINES := src/facevalue/web/engines
web-engines: $(ENGINES) ## fetch what runs networks in the web page, for its tests and for a wheel

$(ENGINES): src/facevalue/web/npm/package-lock.json
	@$(MAKE) --no-print-directory node
	@PYTHONPATH=src $(PYTHON) -m facevalue.web.engine_files
	@touch $@

node:
	@command -v npm >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
	  echo "installing Node.js" && apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends nodejs npm >/dev/null; } || \
	  { echo "the web page needs Node.js, which brings npm; install it and run again" >&2; exit 1; }

wheel: setup web-engines ## a wheel in dist/ that carries what runs networks in the web page
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps -w dist .

check: setup ## lint, format, types and import floors alone
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

lint: check

docs: setup ## the documentation as a site in build/site, every link checked
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "open build/site/index.html"

format: setup ## put the sources in order
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

clean: ## remove .venv and what tools left behind
	@rm -rf $(VENV) $(VENV)-minimum .coverage* build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache src/*.egg-info $(ENGINES)
	@find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
