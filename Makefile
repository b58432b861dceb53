# What README names. Long work is in bin/ and tests/; this is the list of doors.
.DEFAULT_GOAL := help
.PHONY: help demo stack test test-all test-fast lint docs audit lock bench down setup

PYTHON := .venv/bin/python

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Tests are of the same tools everywhere, from package registries alone (tests/run); so is what is set up for them.
test test-all test-fast: export LOCAL_CLOUD_DOWNLOADS ?= 0

demo: ## a highly available cluster on this machine, from nothing to kubectl
	@bin/demo

# From the command line alone: some shells have a NAME of their own.
stack: ## a commented Pulumi.NAME.yaml for a new stack: make stack NAME=prod TOPOLOGY=ha
	@test -x $(PYTHON) || bin/setup
	@$(PYTHON) -m new_stack "$(if $(filter command,$(origin NAME)),$(NAME))" "$(if $(filter command,$(origin TOPOLOGY)),$(TOPOLOGY))"

test: setup lint audit ## checks, unit tests, the local API's tests, end-to-end tests of the main job
	@tests/run -m "not thorough"

test-all: setup lint audit ## everything, as CI runs it
	@tests/run

test-fast: setup lint ## the inner loop: checks, unit tests, the local API's tests
	@$(PYTHON) -m pytest -q -m "not e2e" -n 2 --dist loadfile

lint: setup ## ruff (with bandit's rules, as S), mypy, shellcheck, actionlint
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy
	@git ls-files -z --cached --others --exclude-standard | xargs -0 tests/shell-scripts | xargs -0 shellcheck
	@$(PYTHON) -m local_cloud.toolchain.actionlint_cli
	@.local/bin/actionlint

docs: setup ## writes README's tables of settings and scopes anew
	@$(PYTHON) -m readme.settings_table
	@$(PYTHON) -m readme.scopes_table

audit: setup ## known vulnerabilities in what is installed; skipped, with a message, where no list of them answers
	@$(PYTHON) -m tests.dependencies audit

lock: setup ## requirements*.txt from requirements*.in, with the hashes of every file
	@$(PYTHON) -m tests.dependencies lock

bench: setup ## measures what README states, and prints a table
	@$(PYTHON) -m tests.bench $(BENCH)
	@$(PYTHON) -m tests.plan_speed
	@$(PYTHON) -m tests.critical_path --fast

down: ## ends the local cloud and everything in it
	@if [ -x $(PYTHON) ]; then bin/local-cloud down --all; else echo "nothing to end: this checkout was never set up"; fi

setup:
	@bin/setup
