SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
CHECKOV := .mercato/checkov
export PATH := $(CURDIR)/$(VENV)/bin:$(CURDIR)/.mercato/uv/bin:$(PATH)
export SAM_CLI_TELEMETRY := 0
export MYPYPATH := layers/common:layers/pages:$(subst $() ,:,$(patsubst %/template.yaml,%,$(wildcard functions/*/template.yaml)))
# Modules are compiled once, not by every process that imports them.
unexport PYTHONDONTWRITEBYTECODE

help: ## This list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  \033[36m%-12s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.ready: requirements.lock pyproject.toml .python-version functions
	@python3 -I infra/local/bootstrap.py

setup: $(VENV)/.ready ## Install what the project needs into .venv

up: setup ## Run the whole shop on this machine; Ctrl-C stops it
	@mercato up

demo: setup ## Run the shop's stories, good and bad, against a running shop
	@mercato demo

replay: setup ## Place real orders: make replay FILE=<csv> LIMIT=<n> CONCURRENCY=<n>
	@mercato replay $(FILE) --limit $(or $(LIMIT),300) --concurrency $(or $(CONCURRENCY),4)

trace: setup ## Show a request as a tree: make trace ID=<request id>
	@mercato trace $(or $(ID),$(error ID=<request id> is missing: the X-Request-Id of an answer))

# It pins many of our packages to older versions, so it has a separate environment.
$(CHECKOV)/.ready: infra/checkov.lock $(VENV)/.ready
	@.mercato/uv/bin/uv venv --quiet --clear --python $(VENV)/bin/python $(CHECKOV)
	@.mercato/uv/bin/uv pip sync --quiet --require-hashes --python $(CHECKOV)/bin/python infra/checkov.lock
	@touch $@

lint: setup $(CHECKOV)/.ready ## Style, types, architecture, templates
	@$(MAKE) --no-print-directory --jobs=2 --output-sync lint-types lint-checkov lint-sam lint-style lint-imports lint-cfn

lint-style:
	ruff check . && ruff format --check .
lint-types:
	mypy functions layers infra tests
lint-imports:
	python -m infra.imports
lint-sam:
	sam validate --lint --template template.yaml --region us-east-1
lint-cfn:
	python -m infra.templates
lint-checkov:
	$(CHECKOV)/bin/checkov --config-file .checkov.yaml --file template.yaml infra/*.yaml functions/*/template.yaml

test: lint ## Everything that must hold, in the local cloud and in a browser; BROWSER=none leaves the browser out
	@$(MAKE) --no-print-directory --jobs=2 test-code test-shop
	@$(if $(filter none,$(BROWSER)),echo "Nothing was tried in a browser (BROWSER=none).")

# The shop's tests wait for it half of their time. The others fill that time, and give way to the shop.
test-code:
	nice pytest tests/unit tests/integration tests/contract tests/chaos -m "not long" -n 2 --dist worksteal -q --durations=15
test-shop:
	pytest tests/e2e -q --durations=15 $(if $(filter none,$(BROWSER)),--ignore=tests/e2e/web)

chaos: setup ## The whole proof: every fault in every step, interleavings, the rush, a bad day, the storm (long)
	pytest tests/chaos -m "not e2e" -n 2 --dist worksteal -q -rs
	pytest tests/chaos -m e2e -q -s -rs

screenshots: setup ## Take the README's pictures of a running shop
	python -m infra.demo.screenshots

explore: setup ## The properties, with examples that no run has had (long)
	pytest tests/unit tests/integration tests/contract -m hypothesis -n 2 --dist worksteal -q --hypothesis-profile=explore

iam-report: setup ## Permissions that the end-to-end tests did not use, by function; each must be explained
	pytest tests/e2e -q -s

bench: setup ## What it costs, in time and money (no shop needed): tables here, JSON in .mercato/bench
	@for script in tests/bench/bench_*.py; do python -m tests.bench.$$(basename $$script .py) || exit 1; done

lock: setup ## Resolve all requirements, and write the lock files of the project, its functions and layers
	.mercato/uv/bin/uv pip compile --quiet --generate-hashes --no-header --python-version 3.13 pyproject.toml -o requirements.lock
	.mercato/uv/bin/uv pip compile --quiet --generate-hashes --no-header --python-version 3.13 infra/checkov.in -o infra/checkov.lock
	@for part in $(dir $(wildcard layers/*/requirements.in functions/*/requirements.in)); do \
	  .mercato/uv/bin/uv pip compile --quiet --generate-hashes --no-header --no-annotate --python-version 3.13 --constraint requirements.lock $$part/requirements.in -o $$part/requirements.txt || exit 1; done

deploy: setup ## Deploy to AWS: make deploy ENV=dev
	python -m infra.preflight parameters $(or $(ENV),dev)
	sam build
	python -m infra.preflight build
	python -m compileall -q --invalidation-mode unchecked-hash -x /CommonLayer/ .aws-sam/build
	python -m infra.release $(or $(ENV),dev)
	sam deploy --config-env $(or $(ENV),dev) $(FLAGS)

rollback: setup ## Return to the release before: make rollback ENV=prod SERVICE=orders (without it, all services)
	mercato --stack mercato-$(or $(ENV),$(error ENV=<dev or prod> is missing)) release rollback $(or $(SERVICE),all)

clean: ## Remove all that was built and installed here
	rm -rf .venv .aws-sam .mercato .mypy_cache .ruff_cache .pytest_cache

.PHONY: help setup up demo screenshots replay trace lint lint-types lint-checkov lint-sam lint-style lint-imports lint-cfn test test-code test-shop iam-report chaos explore lock deploy rollback clean bench
