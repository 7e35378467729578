# `make` lists the commands. Everything is installed into .venv; nothing else of the machine is touched.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
UV_VERSION := 0.13.9
PYTEST := $(VENV)/bin/python -m pytest
# Each in a process of its own: a crash of a native library in one of them does not hide the others.
SUITES := $(sort $(filter-out %__pycache__,$(patsubst %/,%,$(wildcard tests/*/))) $(wildcard tests/test_*.py))

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# A uv of the machine if there is one; otherwise one of our own, in the environment.
UV := $(or $(shell command -v uv 2>/dev/null),$(VENV)/bin/uv)
export VIRTUAL_ENV := $(CURDIR)/$(VENV)

.PHONY: help run plan compare check test test-slow test-matrix test-all test-slurm lint format setup setup-dev lock clean

help:  ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

WITH_EFFORT = $(if $(EFFORT),--config effort=$(EFFORT))

run: setup  ## Set up and run the configured experiments, with EFFORT=quick, standard or thorough
	@snakemake --cores all $(WITH_EFFORT)

plan: setup  ## Say how many jobs, minutes and how much memory a run would take, after a rehearsal
	@snakemake --cores all --quiet all $(WITH_EFFORT) -- rehearsals
	@snakemake --cores all --dry-run --quiet host rules progress $(WITH_EFFORT) --

# Words of `compare` and `check` that were given, as options of the command line.
COMPARED = $(foreach word,ORIGINAL IMAGES LABELS OUTPUTS SIZE RESIZE INTERPOLATION RANGE MEAN STD \
  LAYOUT LIMIT THREADS,$(if $($(word)),--$(call lower,$(word))='$($(word))'))
lower = $(shell echo $(1) | tr A-Z a-z)

compare: setup  ## Compare ORIGINAL= with COMPRESSED= on IMAGES=, or look at it alone (docs/compare.md)
	@python scripts/compare.py $(COMPARED) $(if $(COMPRESSED),--compressed $(COMPRESSED)) \
	  $(if $(CHANNEL_ORDER),--channel-order=$(CHANNEL_ORDER)) $(if $(NAME),--name=$(NAME)) \
	  $(if $(EFFORT),--effort=$(EFFORT))

check: setup  ## Check COMPRESSED= against ORIGINAL= on IMAGES= with THRESHOLDS='--maximum-drop 0.01' (docs/ci.md)
	@python -m squeezed.check $(COMPARED) --compressed='$(COMPRESSED)' $(if $(CHANNEL_ORDER),--channel-order=$(CHANNEL_ORDER)) $(THRESHOLDS)

test: setup-dev  ## Set up and run the tests that take minutes at most
	@status=0; for suite in $(SUITES); do \
		$(PYTEST) -m "not slow and not matrix" $$suite || [ $$? = 5 ] || status=1; \
	done; exit $$status

test-slow: setup-dev  ## Run the tests that take some ten minutes more
	@$(PYTEST) -m "slow and not matrix"

test-matrix: setup-dev  ## Run all architectures, tools, fuzzes and masks: long, and not in CI
	@$(PYTEST) -m matrix

test-all: setup-dev  ## Run all tests
	@$(PYTEST)

test-slurm: setup-dev  ## Install and start a Slurm here (Debian, as root), and try the Slurm profile on it
	@SQUEEZED_TEST_SLURM=1 $(PYTEST) -m slurm -rs

lint: setup-dev  ## Check style, types and the workflow's rules
	@ruff check .
	@ruff format --check .
	@snakefmt --check Snakefile rules
	@mypy
	@lint-imports
	@snakemake --lint

format: setup-dev  ## Mend what the formatters can mend
	@ruff check --fix .
	@ruff format .
	@snakefmt Snakefile rules

setup: $(VENV)/.ready  ## Install what a run needs into .venv

setup-dev: $(VENV)/.ready-dev  ## Install what tests and linters need, too

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "error: squeezed needs Python 3.11 or newer as $(PYTHON), found: $$($(PYTHON) --version 2>&1);" \
	    "name another one, as in: make run PYTHON=python3.12" >&2; exit 1; }
	@if [ "$(UV)" = "$(VENV)/bin/uv" ]; then \
	  $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	    echo "error: $(PYTHON) cannot make virtual environments; install its venv module (python3-venv on Debian) or uv" >&2; exit 1; }; \
	  $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION) || { rm -rf $(VENV); exit 1; }; \
	else \
	  uv venv --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV); \
	fi

# uv, not pip: pip may take torch and torchvision from different places, which then do not fit.
$(VENV)/.ready: $(VENV)/bin/python requirements.txt pyproject.toml
	@echo "Installing the pinned requirements into $(VENV) (once; several GB)"
	@$(UV) pip install --quiet --compile-bytecode --requirement requirements.txt
	@$(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	@python -c 'from squeezed.foundation.environment import check_torch_builds; check_torch_builds()'
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready requirements-dev.txt
	@$(UV) pip install --quiet --compile-bytecode --requirement requirements-dev.txt
	@touch $@

lock: setup  ## Pin the newest versions that fit pyproject.toml in requirements*.txt
	@$(UV) pip compile --quiet --universal --upgrade --no-header --no-annotate pyproject.toml --output-file requirements.txt
	@for group in dev peers; do \
	  $(UV) pip compile --quiet --universal --upgrade --no-header --no-annotate --group $$group \
	    --constraint requirements.txt --output-file requirements-$$group.txt; \
	done
	@$(MAKE) setup
	@python envs/write.py

clean:  ## Remove the environment and caches; data, models and results stay
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis squeezed.egg-info
