# `make` lists the targets. `make demo` and `make test` need nothing but make and Python 3.11 or newer.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

# --- environment: a stamp file a set of extras, older than pyproject.toml means out of date --------------------------

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Onesense needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version). Name another: make PYTHON=python3.12 ..." >&2; exit 2; }
	if command -v uv >/dev/null; then uv venv --quiet --python $(PYTHON) $(VENV); else $(PYTHON) -m venv $(VENV); fi

$(STAMP)%: pyproject.toml | $(BIN)/python
	@echo "installing onesense[$*] into $(VENV)"
	@if command -v uv >/dev/null; then \
	  uv pip install --quiet --python $(BIN)/python --editable '.[$*]'; \
	else \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'; \
	fi
	@touch $@

.PHONY: setup
setup: $(STAMP)dev $(STAMP)demo ## Make .venv with everything that development needs (no torch)

# --- the two commands --------------------------------------------------------------------------------------------------

.PHONY: demo
demo: $(STAMP)demo ## Build a sample library, index it, search it across modalities
	$(BIN)/onesense demo

.PHONY: test
test: lint types imports unit ## Everything that must pass: lint, types, import contract, tests, README blocks

# --- its parts -----------------------------------------------------------------------------------------------------------

.PHONY: lint
lint: $(STAMP)dev ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: types
types: $(STAMP)dev ## Check types (mypy, strict)
	$(BIN)/mypy

.PHONY: imports
imports: $(STAMP)dev ## Check that imports point one way
	$(BIN)/lint-imports

.PHONY: unit
unit: $(STAMP)dev $(STAMP)demo ## Run the fast tests, README blocks included
	$(BIN)/python -m pytest -q

.PHONY: docs
docs: $(STAMP)dev ## Check that everything public is documented and that the documents' examples run
	$(BIN)/python -m pytest -q tests/docs

.PHONY: fmt
fmt: $(STAMP)dev ## Format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# --- numbers and the bundled model -----------------------------------------------------------------------------------------

.PHONY: bench
bench: $(STAMP)dev ## Run every benchmark of bench/, one script a question
	for script in bench/[a-z]*.py; do echo "== $$script"; $(BIN)/python $$script; done

.PHONY: golden
golden: $(STAMP)dev ## Renew the golden vectors of the bundled model, after a wanted change
	$(BIN)/python tests/golden/make.py

.PHONY: train-sources
train-sources: $(STAMP)train ## Fetch and check the networks that the bundled model grows out of
	$(BIN)/python -m onesense.train.sources

.PHONY: test-train
test-train: $(STAMP)dev $(STAMP)train $(STAMP)eval ## Run the tests of the training code (needs train-sources)
	$(BIN)/python -m pytest -q -m '' tests/train

TORCH ?= torch torchvision
.PHONY: test-torch
test-torch: ## Run the open checkpoints' architectures, small and random, in an environment of their own (TORCH=... pins)
	$(PYTHON) -m venv .venv-torch
	if command -v uv >/dev/null; then \
	  uv pip install --quiet --python .venv-torch/bin/python --editable '.[torch]' $(TORCH) pytest hypothesis httpx; else \
	  .venv-torch/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[torch]' $(TORCH) \
	    pytest hypothesis httpx; fi
	.venv-torch/bin/python -m pytest -q tests/torch

.PHONY: test-clients
test-clients: $(STAMP)dev ## Run every client of the APIs we answer, fresh from its registry, against a started server
	$(BIN)/python tests/http/clients/run.py
	$(BIN)/python tests/http/clients/run.py --model onesense-mini

.PHONY: test-doors
test-doors: ## Run the LangChain, LlamaIndex and Haystack adapters with those packages, in an environment of their own
	$(PYTHON) -m venv .venv-doors
	.venv-doors/bin/python -m pip install --quiet --disable-pip-version-check --editable . \
	  langchain-core llama-index-core haystack-ai pytest hypothesis
	.venv-doors/bin/python -m pytest -q -m '' -W default tests/rag

.PHONY: test-inspector
test-inspector: $(STAMP)dev ## Run MCP Inspector's command line, fresh from npm, against our MCP server
	$(BIN)/python -m pytest -q tests/inspector

.PHONY: train-smoke
train-smoke: $(STAMP)dev $(STAMP)train ## Two steps of every training task on made-up data (needs train-sources)
	$(BIN)/python -m pytest -q -m '' tests/train/test_train_run.py -k smoke

.PHONY: test-http
test-http: $(STAMP)dev $(STAMP)demo ## Run the tests that start servers: official clients, conformance page, files, batches
	$(BIN)/python -m pytest -q tests/http

.PHONY: test-faults
test-faults: $(STAMP)dev ## Kill indexing at two hundred random moments; minutes
	$(BIN)/python -m pytest -q -m slow tests/unit/index/test_index_faults.py

.PHONY: test-studio
test-studio: $(STAMP)dev $(STAMP)demo ## Use the Studio in a real browser (needs chromium; fetches axe-core from npm once)
	$(BIN)/python -c 'import playwright' 2>/dev/null || { \
	  if command -v uv >/dev/null; then uv pip install --quiet --python $(BIN)/python playwright; \
	  else $(BIN)/python -m pip install --quiet playwright; fi; }
	$(BIN)/python -m pytest -q tests/studio

.PHONY: fuzz-http
fuzz-http: $(STAMP)dev ## Send what our OpenAPI allows, and what it does not (Schemathesis): no answer may be a 5xx
	$(BIN)/python -m pytest -q -m slow tests/http/test_fuzz.py

.PHONY: release
release: test ## Check everything, build wheel and source archive into dist/, try the wheel in an empty environment
	command -v uv >/dev/null || test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	$(BIN)/python dev/release.py

.PHONY: clean
clean: ## Remove the environment, the demo library and all caches
	rm -rf $(VENV) demo-library dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
