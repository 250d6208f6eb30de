# Needs Python 3.11 or newer, make and git. Uses uv if it is installed, otherwise venv and pip.
# Options: PYTHON=/path/to/python3.12, VENV=another/folder, JOBS=4 test processes.

VENV ?= .venv
CONFIG ?= configs/digits.yaml
JOBS ?= 2

UV := $(shell command -v uv 2>/dev/null)
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3 python3.11 python3.12 python3.13 python3.14 python; do \
	$$python -c '$(NEW_ENOUGH)' 2>/dev/null && { command -v $$python; break; }; done)

BIN := $(VENV)/bin
MADE := $(VENV)/.made
READY := $(VENV)/.ready
READY_DEV := $(VENV)/.ready-dev
BENCH ?= .venv-bench
READY_BENCH := $(BENCH)/.ready-bench
PROVE ?= .venv-prove
READY_PROVE := $(PROVE)/.ready-prove

ifneq ($(UV),)
NEW_VENV = $(UV) venv --quiet --allow-existing --python '$(PYTHON)' $(VENV)
INSTALL = $(UV) pip install --quiet --python $(BIN)/python
else
NEW_VENV = '$(PYTHON)' -m venv $(VENV)
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check
endif

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(READY) ## Set up, then train, sample and evaluate on scans of digits
	@$(BIN)/noisette run $(CONFIG)

.PHONY: figures
figures: $(READY) ## Run the demo and update the README's table and image
	@$(BIN)/python scripts/figures.py

.PHONY: figures-images
figures-images: $(READY) ## Make the images of docs/figures.md with the demo's model
	@$(BIN)/python scripts/figures_images.py $(ARGS)

.PHONY: figures-compare
figures-compare: $(READY) ## Train on Fashion-MNIST and compare all samplers for docs/
	@$(BIN)/python scripts/figures_compare.py $(ARGS)

.PHONY: gallery
gallery: $(READY) ## Train the configs without GPU or download, and write docs/gallery.md
	@$(BIN)/python scripts/gallery.py $(ARGS)

.PHONY: setup
setup: $(READY) ## Create .venv with the pinned requirements and noisette
	@echo "$(VENV) is ready: $(BIN)/noisette --help"

.PHONY: test
test: lint types layers test-only ## Set up, then run all checks and tests

.PHONY: lint
lint: $(READY_DEV) ## Check the style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

.PHONY: types
types: $(READY_DEV) ## Check the types
	$(BIN)/mypy

.PHONY: layers
layers: $(READY_DEV) ## Check which packages import which
	$(BIN)/lint-imports

.PHONY: test-only
test-only: $(READY_DEV) ## Run the tests; ARGS="-k words" selects some, JOBS=0 uses one process
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: test-fast
test-fast: $(READY_DEV) ## Run the tests without servers, environments, browsers and long runs
	@$(MAKE) --no-print-directory test-only ARGS='-m "not slow" $(ARGS)'

# files outside tests/faults whose longest trials need --full
FULL := tests/flows/test_deploying.py tests/flows/test_tracking_outage.py tests/conformance

.PHONY: faults
faults: $(READY_DEV) ## Run all fault trials and write docs/reliability.md
	$(BIN)/python -m pytest -n 0 tests/faults $(FULL) --full $(ARGS)

.PHONY: outages
outages: $(READY_DEV) ## Break the tracking server during training and write docs/tracking.md
	$(BIN)/python -m pytest -n 0 tests/faults/test_outages.py --full $(ARGS)

.PHONY: bench
bench: $(READY_BENCH) ## Compare speed with other libraries for docs/benchmarks.md; ARGS="--only training"
	@$(BENCH)/bin/python -m benchmarks $(ARGS)

.PHONY: prove
prove: $(READY_PROVE) ## Compare the recipes with their original code; ARGS=--write updates docs/experiments.md
	@$(PROVE)/bin/python -m proofs $(ARGS)

.PHONY: lock
lock: $(READY_DEV) ## Pin the requirements; ARGS=--upgrade takes newer ones
	$(BIN)/uv pip compile $(COMPILE) $(ARGS) pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile $(COMPILE) $(ARGS) pyproject.toml --group dev -c requirements.txt -o requirements-dev.txt
COMPILE := --quiet --universal --python-version 3.11 --no-emit-index-url --no-annotate --no-header

.PHONY: clean
clean: ## Remove .venv, caches and builds; runs/ and mlflow.db stay
	rm -rf $(VENV) $(BENCH) $(PROVE) dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find core plugins flows tests -name __pycache__ -prune -exec rm -rf {} +

$(MADE):
	@test -n '$(PYTHON)' || { echo "expected Python 3.11 or newer; found none on the PATH:" \
		"install it, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; }
	@'$(PYTHON)' -c '$(NEW_ENOUGH)' || { echo "expected Python 3.11 or newer; $(PYTHON) is" \
		"$$('$(PYTHON)' --version 2>&1)" >&2; exit 1; }
	@echo "creating $(VENV) with $(PYTHON)$(if $(UV), and uv)"
	@$(NEW_VENV) || { echo "could not create the environment: on Debian and Ubuntu, install" \
		"python3-venv, or use uv" >&2; exit 1; }
	@touch $@

$(READY): $(MADE) requirements.txt pyproject.toml
	@echo "installing the requirements: this takes some minutes the first time"
	@$(INSTALL) -r requirements.txt
	@$(INSTALL) --no-deps -e .
	@touch $@

$(READY_DEV): $(READY) requirements-dev.txt
	@echo "installing the test requirements"
	@$(INSTALL) -r requirements-dev.txt
	@touch $@

# Other libraries have their own environments, so that they do not change noisette's requirements.
$(READY_BENCH): OTHERS = benchmarks/requirements.txt
$(READY_BENCH): benchmarks/requirements.txt
$(READY_PROVE): OTHERS = proofs/requirements.txt
$(READY_PROVE): proofs/requirements.txt
$(READY_BENCH) $(READY_PROVE): requirements.txt pyproject.toml
	@echo "installing the other libraries into $(@D)"
	@$(MAKE) --no-print-directory VENV=$(@D) setup
	@$(if $(UV),$(UV) pip install --quiet --python $(@D)/bin/python,$(@D)/bin/python -m pip install --quiet \
		--disable-pip-version-check) -c requirements.txt -r $(OTHERS)
	@touch $@
