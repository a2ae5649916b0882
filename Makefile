# Everything starts here. `make demo` and `make test` need Python 3.11+, git and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DRAY_PYTEST ?=

.PHONY: demo test harbor dev check lint fix docs bench fuzz-long sabotage clean

demo: $(VENV)/.runtime        ## the whole way across the gap, on this machine, in under a minute
	@$(BIN)/python -m fixtures.demo

test: $(VENV)/.dev            ## everything: lint, types, unit, property, refusals, real servers
	@$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup $(DRAY_PYTEST)

faults-long: $(VENV)/.dev     ## the whole way over sixty bad lines; DRAY_FAULT_SEED=1-60 says which
	DRAY_FAULT_SEED=$${DRAY_FAULT_SEED:-1-60} $(BIN)/python -m pytest -q -n 2 tests/e2e/test_faults_at_random.py

harbor: $(VENV)/.dev          ## the tests of Harbor against a real one: HARBOR_URL, HARBOR_USER, HARBOR_PASSWORD, HARBOR_CA
	@: "$${HARBOR_URL:?names the real Harbor}" "$${HARBOR_USER:?and its administrator}" "$${HARBOR_PASSWORD:?and the password}"
	$(BIN)/python -m pytest -q -rs -k "harbor or Harbor" tests/importer/harbor tests/fixtures/test_harbor.py \
		tests/contract/test_target.py tests/contract/test_shelf.py tests/e2e/test_harbor_clients.py

check: $(VENV)/.dev lint      ## what a commit must pass, without servers
	$(BIN)/python -m pytest -q -n 2 -m "not server" $(DRAY_PYTEST)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fix: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

SECONDS_EACH ?= 600
fuzz-long: $(VENV)/.dev       ## every fuzz target for SECONDS_EACH, led by coverage, and the whole tamper matrix
	$(BIN)/python -m pip install -q atheris || echo "no atheris here: the fuzzing is blind"
	$(BIN)/python -m tests.fuzz all --seconds $(SECONDS_EACH)
	$(BIN)/python -m tests.refusals.matrix

sabotage: $(VENV)/.dev        ## takes one check out of the code at a time: a test must go red for each
	$(BIN)/python -m tests.sabotage

docs: $(VENV)/.dev            ## docs/commands.md anew, from the help texts
	$(BIN)/python -m tests.docs.commands

bench: $(VENV)/.dev           ## side by side with peers: ratios, memory, disk
	$(BIN)/python -m bench

dev: $(VENV)/.dev

$(VENV)/.runtime: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	@$(BIN)/python -m pip install -q -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) .cache demo warehouse dist build
