# Everything below runs from a fresh clone: it needs make and Python 3.11 or newer, nothing else.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	$$p -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOWEST := .venv-lowest
TORCH := $(shell grep '^torch==' constraints.txt)
PIP_FLAGS := -qq --disable-pip-version-check
PYTEST_FLAGS ?=
ROWS ?=
SEEDS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo test test-slow test-gpu test-lowest lint accuracy bench docs clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(READY) ## create .venv with everything pinned in constraints.txt

# torch comes first and by name, so that an index with a CPU build of this version may serve it.
$(READY): pyproject.toml constraints.txt
	$(call venv,$(VENV))
	@echo "installing $(TORCH) (the first time this may take minutes)"
	@$(BIN)/pip install $(PIP_FLAGS) $(TORCH) -c constraints.txt
	@echo "installing pdeml and its tools"
	@$(BIN)/pip install $(PIP_FLAGS) hatchling editables -c constraints.txt
	@$(BIN)/pip install $(PIP_FLAGS) --no-build-isolation --editable '.[dev]' -c constraints.txt
	@touch $@

demo: $(READY) ## solve Burgers' equation with a PINN -> runs/burgers/fields.h5 and fields.png
	$(BIN)/pdeml train pdeml/problem/library/burgers.yaml --overwrite

test: $(READY) ## the tests that need no GPU and seconds each
	$(BIN)/pytest -m "not slow and not gpu" $(PYTEST_FLAGS)

test-slow: $(READY) ## the long tests
	$(BIN)/pytest -m "slow and not gpu" $(PYTEST_FLAGS)

test-gpu: $(READY) ## the tests that need a CUDA device
	$(BIN)/pytest -m gpu $(PYTEST_FLAGS)

test-lowest: $(LOWEST)/.ready ## the tests with the oldest dependencies of pyproject.toml (but torch and triton as pinned, no extras but dev)
	$(LOWEST)/bin/pytest -m "not slow and not gpu" $(PYTEST_FLAGS)

$(LOWEST)/.ready: pyproject.toml constraints-lowest.txt
	$(call venv,$(LOWEST))
	@echo "installing the lower bounds of pyproject.toml and its extra dev; torch and triton stay as pinned in constraints.txt"
	@$(LOWEST)/bin/pip install $(PIP_FLAGS) $(TORCH) -c constraints-lowest.txt
	@$(LOWEST)/bin/pip install $(PIP_FLAGS) hatchling editables -c constraints-lowest.txt
	@$(LOWEST)/bin/pip install $(PIP_FLAGS) --no-build-isolation --editable '.[dev]' -c constraints-lowest.txt
	@touch $@

lint: $(READY) ## style and import direction
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

accuracy: $(READY) ## accuracy table; make accuracy ROWS='burgers burgers-fno' SEEDS='0 1'
	$(BIN)/python benchmarks/all_accuracy.py $(if $(ROWS),--rows $(ROWS)) $(if $(SEEDS),--seeds $(SEEDS))

bench: $(READY) ## speed, memory, kernels, orders of convergence, flows, sampling, coverage (4 GiB of free disk)
	$(BIN)/python benchmarks/bench_jets.py
	$(BIN)/python benchmarks/bench_spectral.py
	$(BIN)/python benchmarks/bench_orders.py
	$(BIN)/python benchmarks/bench_flow.py
	$(BIN)/python benchmarks/bench_darcy.py
	$(BIN)/python benchmarks/bench_stream.py
	$(BIN)/python benchmarks/data_tables.py
	$(BIN)/python benchmarks/sampling_table.py
	$(BIN)/python benchmarks/band_coverage.py
	$(BIN)/python benchmarks/bench_gp.py
	$(BIN)/python -m pdeml_kernels.bench --write

docs: $(READY) ## pages of the public interface -> docs/api
	$(BIN)/python scripts/make_docs.py docs/api

clean: ## remove environments, runs and caches
	rm -rf $(VENV) $(LOWEST) runs build dist docs/api .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# $(call venv,FOLDER): create FOLDER unless it holds a working environment already.
define venv
	@if [ -z "$(PYTHON)" ]; then \
		echo "pdeml needs Python 3.11 or newer with its venv module; none was found on PATH." >&2; \
		echo "Install one (Debian, Ubuntu: apt-get install python3 python3-venv) or name it: make PYTHON=/path/to/python3" >&2; \
		exit 2; \
	fi
	@$(1)/bin/python -m pip --version >/dev/null 2>&1 || { echo "creating $(1) with $(PYTHON)"; $(PYTHON) -m venv --clear $(1); }
endef
