# BabySea: `make` lists the targets. Every target sets up what it needs; nothing is installed outside this folder.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One more than the cores that CI has: many tests wait for other processes.
WORKERS ?= 3

# One stamp per lock: a target installs only what it runs, and again only when its locks change.
RUN := $(VENV)/.run.stamp
TEST := $(VENV)/.test.stamp
DEV := $(VENV)/.dev.stamp
ANALYTICS := $(VENV)/.analytics.stamp
SDK_VENV := .venv-sdk
SDK := $(SDK_VENV)/.stamp

.PHONY: help setup demo test test-providers faults check sdk-conformance providers faults-providers proto baseline format docs tools bench-admission \
  bench-enumeration bench-logs soak clean

help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(RUN) $(TEST) $(DEV) ## Create .venv with everything for development, from hashed locks

demo: $(RUN) ## Run the main job: images and videos in two regions, paid for and traced
	$(BIN)/babysea demo

test: $(TEST) ## Run every test that needs no extra install (about 10 minutes on 2 cores)
	$(BIN)/python -m pytest -n $(WORKERS)

test-providers: $(TEST) ## Every inference provider against the sandbox (about 3 minutes on 2 cores)
	$(BIN)/python -m pytest -n $(WORKERS) -m "providers and not slow" tests/integration

faults: $(TEST) ## Kill server and worker at every fault point, then run the slow tests (about 20 minutes)
	$(BIN)/python -m tests.faults
	$(BIN)/python -m pytest -m slow tests/integration tests/faults

check: $(DEV) $(TEST) ## Formatting, lints, types, architecture and contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy kit server gateway sandbox cli clients/python/babysea_sdk tests scripts
	$(BIN)/lint-imports
	$(BIN)/python scripts/protos.py check
	$(BIN)/python scripts/docs.py check
	$(BIN)/python scripts/openapi.py check

proto: $(DEV) ## Regenerate gen/ from proto/
	$(BIN)/python scripts/protos.py generate

baseline: $(DEV) ## Renew the image that `buf breaking` compares with; only on purpose
	$(BIN)/python scripts/protos.py baseline

docs: $(DEV) ## Regenerate the pages and files that are made from code
	$(BIN)/python scripts/docs.py generate
	$(BIN)/python scripts/openapi.py write

format: $(DEV) ## Format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

tools: ## Install a pinned grpcurl into .tools (needs Go)
	@command -v go >/dev/null || { echo "Go is not installed: install Go 1.22 or newer, or use the Python reflection client in tests/."; exit 1; }
	GOBIN=$(CURDIR)/.tools go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3

bench-admission: $(TEST) ## Requests per second and latency of admission, through gateway and server
	$(BIN)/python -m tests.bench.admission

soak: $(TEST) ## Ten minutes of load, kills and database restarts, then what was kept (ARGS="--minutes 2" for less)
	$(BIN)/python -m tests.faults.soak $(ARGS)

bench-logs: $(TEST) ## Latency of admission beside 2,000 request log rows a second
	$(BIN)/python -m tests.bench.logs

bench-enumeration: $(TEST) ## Whether the time of an answer tells that an e-mail has an account
	$(BIN)/python -m tests.bench.enumeration

sdk-conformance: $(TEST) $(SDK) ## The providers' official SDKs and our adapters at the sandbox, compared
	$(BIN)/python -m tests.sdk $(SDK_VENV)/bin/python

providers: $(TEST) ## An image and a video through every provider, by REST: latency, price, bytes
	$(BIN)/python -m tests.tour

faults-providers: $(TEST) ## Every provider fault at two kinds of provider, and what became of the money
	$(BIN)/python -m tests.faults.providers

clean: ## Remove everything that these targets made, except .babysea
	rm -rf $(VENV) $(SDK_VENV) .tools .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name it with PYTHON=…")'
	$(PYTHON) -m venv $(VENV)

# uv installs in seconds what pip installs in a minute; where it has no wheel, pip does the same from the same locks.
define install
	@if [ ! -x $(BIN)/uv ]; then $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt || true; fi
	@if [ -x $(BIN)/uv ]; then \
	  VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install -q --compile-bytecode --no-deps --require-hashes -r requirements/$(1).txt; \
	else \
	  $(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements/$(1).txt; \
	fi
endef

$(RUN): requirements/run.txt requirements/uv.txt pyproject.toml | $(BIN)/python
	$(call install,run)
	@if [ -x $(BIN)/uv ]; then VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install -q --no-deps --no-build-isolation -e .; \
	else $(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .; fi
	@touch $@

$(TEST): requirements/test.txt $(RUN)
	$(call install,test)
	@touch $@

$(DEV): requirements/dev.txt $(TEST)
	$(call install,dev)
	@touch $@

$(ANALYTICS): requirements/analytics.txt $(RUN)
	$(call install,analytics)
	@touch $@

# The SDKs want other versions than the product runs with, so they have an environment of their own.
$(SDK): requirements/sdk.txt $(RUN)
	@test -x $(SDK_VENV)/bin/python || $(BIN)/python -m venv $(SDK_VENV)
	@if [ -x $(BIN)/uv ]; then \
	  VIRTUAL_ENV=$(CURDIR)/$(SDK_VENV) $(BIN)/uv pip sync -q --require-hashes requirements/sdk.txt; \
	else \
	  $(SDK_VENV)/bin/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements/sdk.txt; \
	fi
	@touch $@
