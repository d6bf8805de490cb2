SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
CHECKOV := .mercato/checkov
WORKFLOWS := .mercato/workflows
QUICK_LINT := lint-style lint-imports lint-workflows
SLOW_LINT := lint-types lint-checkov lint-sam lint-cfn
FINDINGS := .mercato/lint-findings.txt
LOCK = .mercato/uv/bin/uv pip compile --quiet --generate-hashes --python-version=3.13
export PATH := $(CURDIR)/$(VENV)/bin:$(CURDIR)/.mercato/uv/bin:$(PATH)
export SAM_CLI_TELEMETRY := 0
export MYPYPATH := layers/common:layers/mesh:layers/pages:$(subst $() ,:,$(patsubst %/template.yaml,%,$(wildcard functions/*/template.yaml)))
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

# Tools that pin some of our packages to other versions have a separate environment.
.mercato/%/.ready: infra/%.lock $(VENV)/.ready
	@.mercato/uv/bin/uv venv --quiet --clear --python $(VENV)/bin/python $(@D)
	@.mercato/uv/bin/uv pip sync --quiet --require-hashes --python $(@D)/bin/python $<
	@touch $@

hooks: setup $(WORKFLOWS)/.ready ## Let git check each commit before it is made (.pre-commit-config.yaml)
	@$(WORKFLOWS)/bin/pre-commit install

lint: setup $(CHECKOV)/.ready $(WORKFLOWS)/.ready ## Style, types, architecture, templates, workflows
	@$(MAKE) --no-print-directory --jobs=2 --output-sync $(SLOW_LINT) $(QUICK_LINT)

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
lint-checkov: $(CHECKOV)/.ready
	$(CHECKOV)/bin/python -P infra/run_checkov.py --config-file .checkov.yaml --file template.yaml infra/*.yaml functions/*/template.yaml
lint-workflows: $(WORKFLOWS)/.ready
	$(WORKFLOWS)/bin/zizmor --offline --quiet --strict-collection .github .pre-commit-config.yaml
	$(WORKFLOWS)/bin/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yaml
	$(WORKFLOWS)/bin/check-jsonschema --quiet --builtin-schema vendor.github-issue-forms $(filter-out %/config.yaml,$(wildcard .github/ISSUE_TEMPLATE/*.yaml))
	$(WORKFLOWS)/bin/check-jsonschema --quiet --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yaml
	$(WORKFLOWS)/bin/check-jsonschema --quiet --builtin-schema vendor.renovate .github/renovate.json

test: setup $(CHECKOV)/.ready $(WORKFLOWS)/.ready ## Everything that must hold, in the local cloud and in a browser; BROWSER=none leaves the browser out
	@$(MAKE) --no-print-directory --jobs=2 --output-sync $(QUICK_LINT)
	@$(MAKE) --no-print-directory --jobs=4 test-code test-shop test-pages test-lint; status=$$?; \
	  if [ -s $(FINDINGS) ]; then cat $(FINDINGS); echo "make lint found what is above."; fi; exit $$status
	@$(if $(filter none,$(BROWSER)),echo "Nothing was tried in a browser (BROWSER=none).")

# The tests of the API and those of the pages have a shop each, for which they wait half of their time. The others, and
# the slow half of lint, fill that time and give way to the shops. What lint finds is kept until the end, where it is not
# overlooked. The longest tests go first, so that all workers end at about the same time. Some wait for a process that they
# have started: a third worker fills that time on two cores.
test-code:
	nice pytest tests/chaos tests/integration tests/contract tests/unit -m "not long" -n 3 --dist worksteal -p no:schemathesis -q --durations=15
test-shop:
	pytest tests/e2e --ignore=tests/e2e/web -m "not long" -q --durations=15
test-pages:
	$(if $(filter none,$(BROWSER)),@true,pytest tests/e2e/web -m "not long" -q --durations=15)

test-lint:
	@nice $(MAKE) --no-print-directory --keep-going --output-sync $(SLOW_LINT) > $(FINDINGS) 2>&1 && rm $(FINDINGS) \
	  || { echo "make lint found something, which is shown when the tests have ended"; exit 1; }

chaos: setup ## The whole proof: every fault in every step, interleavings, the rush, a bad day, the storm (long)
	pytest tests/chaos -m "not e2e" -n 2 --dist worksteal -q -rs --timeout 3600
	pytest tests/integration -m long -q
	pytest tests/e2e -m long -q
	pytest tests/chaos -m e2e -q -s -rs

screenshots: setup ## Take the README's pictures of a running shop
	python -m infra.demo.screenshots

explore: setup ## The properties, with examples that no run has had (long)
	pytest tests/unit tests/integration tests/contract -m hypothesis -n 2 --dist worksteal -q --hypothesis-profile=explore

iam-report: setup ## Permissions that the end-to-end tests did not use, by function; each must be explained
	pytest tests/e2e --ignore=tests/e2e/web -m "not long" -q -s

bench: setup ## What it costs, in time and money (no shop needed): tables here, JSON in .mercato/bench
	@for script in tests/bench/bench_*.py; do python -m tests.bench.$$(basename $$script .py) || exit 1; done

# Renovate repeats the command that a lock file's header shows, so it has only options that Renovate knows.
lock: setup ## Resolve all requirements, and write the lock files of the project, its tools, functions and layers
	$(LOCK) --output-file=requirements.lock pyproject.toml
	$(LOCK) --output-file=infra/checkov.lock infra/checkov.in
	$(LOCK) --output-file=infra/workflows.lock infra/workflows.in
	@for part in $(patsubst %/,%,$(dir $(wildcard layers/*/requirements.in functions/*/requirements.in))); do \
	  $(LOCK) --constraint=requirements.lock --output-file=$$part/requirements.txt $$part/requirements.in || exit 1; done

deploy: setup ## Deploy to AWS: make deploy ENV=dev
	python -m infra.preflight parameters $(or $(ENV),dev)
	architecture=$$(python -m infra.preflight architecture $(or $(ENV),dev)) && \
	  ARCHITECTURE=$$architecture sam build --parameter-overrides Architecture=$$architecture
	python -m infra.preflight build $(or $(ENV),dev)
	python -m compileall -q --invalidation-mode unchecked-hash -x /CommonLayer/ .aws-sam/build
	python -m infra.release $(or $(ENV),dev)
	sam deploy --config-env $(or $(ENV),dev) $(FLAGS)

rollback: setup ## Return to the release before: make rollback ENV=prod SERVICE=orders (without it, all services)
	mercato --stack mercato-$(or $(ENV),$(error ENV=<dev or prod> is missing)) release rollback $(or $(SERVICE),all)

clean: ## Remove all that was built and installed here
	rm -rf .venv .aws-sam .mercato .mypy_cache .ruff_cache .pytest_cache

.PHONY: help setup hooks up demo screenshots replay trace lint lint-types lint-checkov lint-sam lint-style lint-imports lint-cfn lint-workflows test test-code test-shop test-pages test-lint iam-report chaos explore lock deploy rollback clean bench
