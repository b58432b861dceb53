# What README names. Long work is in bin/ and tests/; this is the list of doors.
.DEFAULT_GOAL := help
.PHONY: help demo test test-fast lint docs bench down setup

PYTHON := .venv/bin/python

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## a highly available cluster on this machine, from nothing to kubectl
	@bin/demo

test: setup lint ## everything: checks, unit tests, the local API's tests, end-to-end tests
	@tests/run-all

test-fast: setup lint ## the inner loop: checks, unit tests, the local API's tests
	@$(PYTHON) -m pytest -q -m "not e2e"

lint: setup ## ruff, mypy, shellcheck
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy
	@git ls-files -z --cached --others --exclude-standard | xargs -0 tests/shell-scripts | xargs -0 shellcheck

docs: setup ## writes README's settings table anew, from Pulumi.yaml
	@$(PYTHON) -m readme.settings_table

bench: setup ## measures what README states, and prints a table
	@$(PYTHON) -m tests.bench $(BENCH)
	@$(PYTHON) -m tests.plan_speed

down: ## ends the local cloud and everything in it
	@if [ -x $(PYTHON) ]; then bin/local-cloud down; else echo "nothing to end: this checkout was never set up"; fi

setup:
	@bin/setup
