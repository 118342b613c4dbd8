# The two commands that matter: `make run` and `make test`. Each prepares what it needs.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
DBT_FILES := $(shell find dbt_project -path dbt_project/target -prune -o -name '*.sql' -print -o -name '*.yml' -print -o -name '*.csv' -print 2>/dev/null)

# One place says where the state is; every tool below reads it: the environment, else .env, else ./data. Absolute, as
# Dagster demands. No tool sends usage data.
hash := \#
ifndef KILOWISE_HOME
KILOWISE_HOME := $(shell sed -nE "s/^(export )?KILOWISE_HOME *= *['\"]?([^'\"$(hash)]*[^'\"$(hash) ]).*/\2/p" .env 2>/dev/null | tail -n 1)
endif
override KILOWISE_HOME := $(shell home="$(or $(KILOWISE_HOME),data)"; realpath -m -- "$${home/$(hash)\~/$$HOME}")
export KILOWISE_HOME
export DAGSTER_HOME ?= $(KILOWISE_HOME)/dagster
export BENTOML_HOME ?= $(KILOWISE_HOME)/models
export DO_NOT_TRACK := 1
export BENTOML_DO_NOT_TRACK := True
export DBT_SEND_ANONYMOUS_USAGE_STATS := false
export DAGSTER_DISABLE_TELEMETRY := 1
export PYTHONUTF8 := 1
# Without Python's cache every process would compile its libraries again, which takes longer than most steps.
unexport PYTHONDONTWRITEBYTECODE
# Tools start each other by name (dg starts dagster, dagster starts dbt).
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
export PATH := $(CURDIR)/$(BIN):$(PATH)
DAGSTER_PORT ?= 3000
# Each worker takes whole files: fixtures that make a supplier are then made once per file at most. In the order of the
# folders, because files of few tests, which xdist would put last, are those that run whole jobs: one worker would end
# minutes after the others. One worker more than two processors: a fifth of a worker's time is waiting, for the disk, for
# servers that start, and for limits of time that are tried.
PYTEST_ARGS ?= -n 3 --dist loadfile --no-loadscope-reorder

.PHONY: help run test bento dev serve reports check doctor bench clean reset env env-server server-up server-down server-status test-server env-cluster cluster-up cluster-down test-cluster manifest dagster-home

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

# Groups that were chosen stay: the environment is made equal to all of their locks, not to the first alone.
GROUPS := $(patsubst $(VENV)/.%,%,$(wildcard $(VENV)/.server $(VENV)/.cluster))
LOCKS := $(strip requirements.lock $(GROUPS:%=requirements-%.lock))

env: $(VENV)/.ready  ## Create the environment from the lock
# uv installs in seconds; where it cannot reach an index that pip can, pip does the same from the same hashes.
$(VENV)/.ready: $(LOCKS)
	@echo "Preparing the Python environment in $(VENV) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed, found " + sys.version.split()[0])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@( $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION) \
	   && $(BIN)/uv pip sync --quiet $(LOCKS) ) \
	 || $(BIN)/python -m pip install --disable-pip-version-check --no-deps --require-hashes $(LOCKS:%=-r %)
	@touch $@ $(GROUPS:%=$(VENV)/.%)

env-server: $(VENV)/.server  ## Add what the profile server needs to the environment
$(VENV)/.server: $(VENV)/.ready requirements-server.lock
	@echo "Adding the packages of the profile server ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-server.lock
	@touch $@

server-up: manifest env-server  ## Start the profile server on this machine: PostgreSQL, Redis, Dagster, workers
	@$(BIN)/python -m orchestration server up

server-down:  ## End what server-up started; data stays
	@$(BIN)/python -m orchestration server down

server-status:  ## What of it runs
	@$(BIN)/python -m orchestration server status

env-cluster: env-server $(VENV)/.cluster  ## Add what the profile cluster needs to the environment
$(VENV)/.cluster: $(VENV)/.ready requirements-cluster.lock
	@echo "Adding the packages of the profile cluster ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-cluster.lock
	@touch $@

cluster-up: manifest env-cluster  ## Start a small Spark cluster on this machine for the profile cluster
	@$(BIN)/python -m orchestration cluster up

cluster-down:  ## End what cluster-up started; tables stay
	@$(BIN)/python -m orchestration cluster down

test-cluster: manifest env-cluster  ## Tests of the profile cluster: Spark on loopback
	@$(BIN)/python -m pytest -m cluster tests

test-server: manifest env-server  ## Tests of the profile server: real PostgreSQL, Redis and workers on loopback
	@$(BIN)/python -m pytest -m server tests

manifest: dbt_project/target/manifest.json
dbt_project/target/manifest.json: $(VENV)/.ready $(DBT_FILES)
	@$(BIN)/python -m orchestration.manifest

dagster-home: $(VENV)/.ready
	@mkdir -p "$(DAGSTER_HOME)" && cp dagster.yaml "$(DAGSTER_HOME)/dagster.yaml"

run: manifest dagster-home  ## Set everything up and do the main job: raw files -> released models -> scores -> drift reports
	@$(BIN)/python -m orchestration run

test: manifest  ## Set everything up and pass the tests
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

bento: manifest  ## Build the bento of the last commit and try it in an empty environment
	@$(BIN)/python -m pytest -m packaging tests/packaging

check: manifest  ## Lint, format, types, import directions, Dagster definitions
	@status=0; \
	$(BIN)/ruff check . || status=1; \
	$(BIN)/ruff format --check . || status=1; \
	$(BIN)/mypy || status=1; \
	$(BIN)/lint-imports || status=1; \
	$(BIN)/dg check defs || status=1; \
	exit $$status

dev: manifest dagster-home  ## Dagster UI on http://127.0.0.1:3000
	@$(BIN)/dg dev --host 127.0.0.1 --port $(DAGSTER_PORT)

serve: env  ## HTTP API on http://127.0.0.1:3100 (page: /docs)
	@$(BIN)/python -m serving

reports: env  ## Model owners' site on http://127.0.0.1:3200, Evidently workspace on :3201
	@$(BIN)/python -m monitoring

doctor: env  ## Name what is wrong and what to do about it; change nothing
	@$(BIN)/python -m orchestration doctor

bench: manifest  ## Measure against named peers; ONLY=<id> runs one
	@$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY))

clean:  ## Remove caches and build products; keep the data
	@rm -rf dbt_project/target dbt_project/logs logs .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

reset: clean  ## Also remove all state (KILOWISE_HOME)
	@rm -rf "$(KILOWISE_HOME)"
