# Podium in two commands: `make run` and `make test`. Nothing but Python 3.11 or newer is needed.
PORT ?= 8000
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3; do \
	$$p -ISc 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; done; echo $$p)
BIN := .venv/bin
COMMA := ,

.PHONY: help run test test-node images coverage bench cluster-up cluster-down lint locks clean
.DEFAULT_GOAL := help

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## Install what is needed and serve on 127.0.0.1:8000; PORT=… changes it, ARGS=… goes to podium
	@$(PYTHON) -m hub.install && exec $(BIN)/podium --port=$(PORT) $(ARGS)

test: ## Run every test that this machine can, and list what was skipped and why; ARGS=… goes to pytest
	@$(PYTHON) -m hub.install --tests && exec $(BIN)/python -m pytest $(ARGS)

test-node: ## Run the tests that need a real node, on one that is made for them: as root, on Linux
	@$(PYTHON) -m hub.install --tests && \
		exec $(BIN)/python -m tests.cluster.node -- $(abspath $(BIN))/python -m pytest tests/node $(ARGS)

images: ## Build the three images without a registry, as make test-node does by itself, and say how large they are
	@$(PYTHON) -m hub.install --tests && exec $(BIN)/python -m tests.cluster.images

PURE := admission cost culler desired ending errors happenings keys model notebook observed pool profiles queue room_admission scaling settings status wire workload $(addprefix web/,address codes confinement limits) \
	$(addprefix backends/kubernetes/,manifests names observed pods policy) $(addprefix doctor/,judge machines plan rights) $(addprefix preflight/,judge places seats)

coverage: ## Check that the tests of the pure modules take every branch
	@$(PYTHON) -m hub.install --tests
	$(BIN)/coverage run -m pytest -q $(wildcard $(patsubst %,tests/test_%*.py,$(notdir $(PURE)))) tests/clusters tests/proxy/test_routes.py $(wildcard tests/test_doctor*.py tests/test_preflight*.py)
	$(BIN)/coverage report --fail-under=100 --include='$(subst $() $(),$(COMMA),$(PURE:%=hub/%.py)),hub/clusters/*,proxy/routes.py'

bench: ## Measure one person on this machine, and 500 on Kubernetes; ARGS=… is laptop, or storm with --people
	@$(PYTHON) -m hub.install --tests && exec $(BIN)/python -m bench $(ARGS)

cluster-up: ## Start a Kubernetes that stays, with nodes that do not exist, and say how to use it
	@$(PYTHON) -m hub.install --tests && exec $(BIN)/python -m tests.cluster up

cluster-down: ## End it; nothing is left
	@$(PYTHON) -m hub.install --tests && exec $(BIN)/python -m tests.cluster down

lint: ## Check style, types and layers
	@$(PYTHON) -m hub.install --tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --annotation-style line \
	--custom-compile-command 'make locks'

locks: ## Resolve the lock files again; ARGS=--upgrade takes newer versions
	@$(PYTHON) -m hub.install
	$(COMPILE) hub/tools.in -o hub/tools.lock $(ARGS)
	$(COMPILE) setup.cfg -o images/hub/requirements.lock $(ARGS)
	$(COMPILE) setup.cfg --extra test -c images/hub/requirements.lock -o tests/requirements.lock $(ARGS)
	$(COMPILE) tests/cluster/modules/go.in -o tests/cluster/modules/go.lock $(ARGS)
	$(COMPILE) images/workspace/requirements.in -o images/workspace/requirements.lock $(ARGS)
	cd proxy && npm install --package-lock-only --omit-lockfile-registry-resolved

clean: ## Remove what was made in this folder; what all checkouts share stays in ~/.cache/podium
	rm -rf .venv proxy/node_modules *.egg-info build .coverage htmlcov artefacts
	rm -rf .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
