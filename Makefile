.DEFAULT_GOAL := help
.PHONY: help setup demo emulator test azure-check lint fmt type bench lock clean
VENV := .venv
BIN := $(VENV)/bin
DEVICES ?= 60

help: ## Show this list.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(VENV)/.ready node_modules/.ready ## Install everything into this folder (the other targets do it for you).

$(VENV)/.ready: requirements.txt requirements-dev.txt .python-version
	sh scripts/make-venv $(VENV)
	@touch $@

node_modules/.ready: package-lock.json
	npm ci --no-audit --no-fund --loglevel=error
	@touch $@

demo: setup ## Roll out two campaigns on the local cloud (DEVICES=60).
	$(BIN)/python -m demo --devices $(DEVICES)

emulator: setup ## Keep the local cloud up and print the settings that point an SDK or a device at it.
	$(BIN)/python -m cli local up

test: setup lint type ## Run every test.
	$(BIN)/python -m pytest -n 3 --dist loadfile --ignore=tests/scenarios/test_api.py
	$(BIN)/python -m pytest tests/scenarios/test_api.py

azure-check: setup ## Check the templates for Azure by grammar and types, and against code and docs (part of test).
	$(BIN)/python -m pytest tests/unit/test_infra_*.py tests/unit/test_azure_pages.py tests/unit/test_limits_fit.py tests/unit/test_sizing.py tests/app/test_alerts_fire.py

lint: setup ## Check style and who imports whom.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

fmt: setup ## Format and mend what can be mended.
	$(BIN)/ruff check --fix-only -q .
	$(BIN)/ruff format -q .

type: setup ## Check types.
	$(BIN)/mypy

bench: setup ## Measure; the figures land in docs/performance.md by hand.
	$(BIN)/python -m bench

lock: setup ## Pin the requirements anew from the .in files.
	sh scripts/lock-requirements

clean: ## Remove everything that the other targets made.
	rm -rf $(VENV) node_modules .local .mypy_cache .ruff_cache .pytest_cache .hypothesis
