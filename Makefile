# `make run` and `make test` need nothing before them. `make help` lists the rest.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup run test test-fast check bench bench-quick bench-platforms bench-sources \
        bench-updates lock node peers prerequisites clean vendor screenshots

# AS is also make's own name for the assembler, which counts as unset here.
ifeq ($(origin AS),default)
AS := uvicorn
endif
# Functions on a platform share no file, so there the store is another one.
STORE ?= $(if $(filter uvicorn,$(AS)),sqlite,upstash)
PORT ?= 8000
# More arguments for pytest, for example: make test-fast ARGS="-x -k resume"
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
MODULES := node_modules/.package-lock.json
# The AWS SAM CLI has an environment of its own: its pins and ours exclude each other.
SAM := .venv-sam
SAM_INSTALLED := $(SAM)/.installed
# What the benchmarks compare with has environments of its own, too.
PEERS := .venv-peers
PEERS_INSTALLED := $(PEERS)/.installed
PEERS_MODULES := benchmarks/peers/node_modules/.package-lock.json
CODE = $(wildcard lib functions tests infra benchmarks examples)

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(INSTALLED)  ## the environment in .venv, with .venv/bin/lastevent ready

# Made anew only when what it is made from has changed. An environment whose interpreter is gone or
# too old is replaced; any other is kept and brought up to date.
$(INSTALLED): requirements/dev.txt pyproject.toml
	@if ! $(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then \
	    python=$$(infra/find-python) || exit 1; \
	    echo "Making $(VENV) with $$python"; \
	    "$$python" -m venv --clear $(VENV) || exit 1; \
	fi
	@echo "Installing the pinned requirements"
	@$(BIN)/python -m pip install --no-input --disable-pip-version-check --no-deps \
	    --require-hashes --requirement requirements/dev.txt
	@$(BIN)/python -m pip install --no-input --disable-pip-version-check --quiet --no-deps \
	    --no-build-isolation --editable .
	@touch $@

run: setup $(if $(filter vercel,$(AS)),$(MODULES))  ## the server on 127.0.0.1:8000 (STORE=sqlite|upstash|dynamodb AS=uvicorn|vercel|lambda-stream|lambda-buffered PORT=8000)
	@$(BIN)/python infra/local/run.py --store $(STORE) --as $(AS) --port $(PORT)

test: prerequisites setup $(MODULES) $(SAM_INSTALLED) $(PEERS_INSTALLED) $(PEERS_MODULES)  ## all tests, two at a time
	@$(BIN)/python -m pytest -n 2 $(ARGS)

test-fast: setup  ## the tests that need no browser and no foreign tool, in about two minutes
	@$(BIN)/python -m pytest -n 4 -m "not browser and not nginx and not node and not slow" $(ARGS)

check: setup  ## lint, format, types, layers, docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(CODE)
	$(BIN)/python -m pytest -q tests/project

bench: setup peers  ## all benchmarks, beside the control and other servers (about 45 minutes)
	@$(BIN)/python benchmarks/run.py --peers --record && $(BIN)/python benchmarks/stores.py --counts

peers: setup $(PEERS_INSTALLED) $(PEERS_MODULES)  ## what the benchmarks compare with: nchan, sse-starlette, FastAPI, Durable Streams
	@infra/prerequisites peers

bench-quick: setup  ## the embedded stores only, in under a minute
	@$(BIN)/python benchmarks/run.py --quick

bench-sources: setup  ## live sources: latency, hand-overs, what pumping costs (8 minutes)
	@$(BIN)/python benchmarks/sources.py

bench-updates: setup  ## messages and workflows: latency on each store, what they ask of it (6 minutes)
	@$(BIN)/python benchmarks/updates.py

bench-platforms: setup $(PEERS_MODULES) $(MODULES)  ## cold starts, then the platforms' emulators (4 minutes)
	@$(BIN)/python benchmarks/cold_start.py && $(BIN)/python benchmarks/platforms.py

lock: setup  ## the requirements files from pyproject.toml (UPGRADE=1: newest versions)
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python infra/lock.py $(if $(UPGRADE),--upgrade)

node:
	@infra/prerequisites node

prerequisites:  ## Node, Chromium and nginx for `make test`; installed where root and apt-get are
	@infra/prerequisites

clean:  ## removes the environment and all caches; leaves .lastevent/, where the data is
	@rm -rf $(VENV) $(SAM) $(PEERS) benchmarks/peers/node_modules .aws-sam node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
	@find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

# Not compiled when installed: what runs of it is the smaller part, and compiles itself.
$(SAM_INSTALLED): requirements/sam.txt | $(INSTALLED)
	@echo "Making $(SAM) with the pinned AWS SAM CLI"
	@$(BIN)/python -m venv --clear $(SAM)
	@$(SAM)/bin/python -m pip install --no-input --disable-pip-version-check --quiet --no-deps \
	    --no-compile --require-hashes --requirement requirements/sam.txt
	@touch $@

$(PEERS_INSTALLED): requirements/peers.txt | $(INSTALLED)
	@echo "Making $(PEERS) with the pinned peers from PyPI"
	@$(BIN)/python -m venv --clear $(PEERS)
	@$(PEERS)/bin/python -m pip install --no-input --disable-pip-version-check --quiet --no-deps \
	    --require-hashes --requirement requirements/peers.txt
	@touch $@

$(PEERS_MODULES): benchmarks/peers/package.json benchmarks/peers/package-lock.json | node
	@echo "Installing the pinned peers from npm"
	@cd benchmarks/peers && npm ci --ignore-scripts --loglevel=error
	@touch $@

$(MODULES): package.json package-lock.json | node
	@echo "Installing the pinned npm packages"
	@npm ci --ignore-scripts --loglevel=error
	@touch $@

vendor: setup $(MODULES)  ## the browser's libraries in public/vendor, as package-lock.json pins them, and lastevent.min.js
	@$(BIN)/python infra/vendor.py && $(BIN)/python infra/minify.py

screenshots: setup prerequisites  ## the pictures in docs/images
	@$(BIN)/python -m infra.screenshots
