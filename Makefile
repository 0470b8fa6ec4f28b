# Everything starts here; `make` alone tells what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help check-javascript docs docs-scripts tables screenshots openapi graphql graphiql run test test-packages faults soak check bench bench-size bench-memory bench-million bench-admin migrate lock clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1|/' | column -t -s '|'

run: $(VENV)/runtime.installed ## start the whole platform on this machine and run the demo
	@exec $(BIN)/python -m config.run

test-packages: ## programs that some tests need and no wheel brings (Debian or Ubuntu, as root)
	tools/test_packages.sh

test: $(VENV)/dev.installed ## the whole test suite, on a real PostgreSQL and Valkey
	$(BIN)/python -m pytest

# Both print the seed that repeats them; APG_FAULT_SEED sets it. SOAK takes arguments of `python -m tests.faults.soak`.
faults: export APG_FAULTS = 1
faults: $(VENV)/dev.installed ## kill and starve everything once, and check what must hold
	$(BIN)/python -m tests.faults.smoke

soak: export APG_FAULTS = 1
soak: $(VENV)/dev.installed ## the same at random for SOAK="--minutes 30"
	$(BIN)/python -m tests.faults.soak $(SOAK)

# Nothing is connected to: settings only have to be readable.
check tables openapi graphql: export DATABASE_URL = postgresql://nobody@127.0.0.1/none
check tables openapi graphql: export REDIS_URL = redis://127.0.0.1
check tables openapi graphql: export APG_DEBUG = true
check tables openapi graphql: export DJANGO_SETTINGS_MODULE = config.settings
SPECTACULAR := $(BIN)/python -W ignore manage.py spectacular --validate --fail-on-warn
GRAPHQL_SCHEMA := $(BIN)/python -W ignore manage.py graphql_schema --schema config.schema.schema
# Strict by its own file. With --quiet it would not count what it warns of.
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs
check: $(VENV)/dev.installed ## format, lint, import contracts, types, migrations in step, the API's documents, the documentation's links
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy .
	$(BIN)/python sdk/python/tools/make_sync.py --check
	$(BIN)/mypy --config-file sdk/python/pyproject.toml sdk/python/src
	$(BIN)/python -W ignore manage.py makemigrations --check --dry-run
	@$(SPECTACULAR) | cmp - docs/openapi.yaml || { echo "docs/openapi.yaml is out of date: run make openapi" >&2; exit 2; }
	@$(GRAPHQL_SCHEMA) --out=-.graphql | cmp - docs/schema.graphql || { echo "docs/schema.graphql is out of date: run make graphql" >&2; exit 2; }
	@PYTHONPATH=. $(BIN)/python tools/site/tables.py --check
	@$(MKDOCS) build
	@command -v npm >/dev/null || { echo "Node is not on this machine: sdk/javascript is not checked"; exit 0; }; \
		$(MAKE) --no-print-directory check-javascript

check-javascript: sdk/javascript/node_modules/.package-lock.json ## types of the JavaScript client, and that they are in step (needs npm)
	cd sdk/javascript && npm run --silent check

# What npm itself writes last.
sdk/javascript/node_modules/.package-lock.json: sdk/javascript/package-lock.json
	cd sdk/javascript && npm ci --ignore-scripts --no-audit --no-fund --silent
	@touch $@

openapi: $(VENV)/dev.installed ## write docs/openapi.yaml anew
	$(SPECTACULAR) --file docs/openapi.yaml

graphql: $(VENV)/dev.installed ## write docs/schema.graphql anew
	$(GRAPHQL_SCHEMA) --out=-.graphql > docs/schema.graphql

screenshots: export APG_SCREENSHOTS = 1
screenshots: $(VENV)/dev.installed ## take the pictures of docs/images anew (needs Chromium)
	$(BIN)/python -m pytest -q tests/integration/browser

docs: $(VENV)/dev.installed ## build the documentation as a site in var/site, which opens without a server
	@$(MKDOCS) build

tables: $(VENV)/dev.installed ## write the tables of the documentation that are made of schemas, settings and folders
	@PYTHONPATH=. $(BIN)/python tools/site/tables.py

docs-scripts: ## copy the scripts that the site's pages load anew (needs npm)
	cd tools/site/vendor && npm ci --ignore-scripts && npm run build

graphiql: ## bundle the page of GraphiQL anew (needs npm)
	cd tools/graphiql && npm ci --ignore-scripts && npm run build

bench: $(VENV)/dev.installed ## the speed of the platform, beside plain Celery in the same run
	$(BIN)/python -m benchmarks

bench-size: $(VENV)/dev.installed ## whether a component costs the same with a million stored executions
	$(BIN)/python -m benchmarks.table_size

bench-memory: $(VENV)/dev.installed ## whether memory grows over 100,000 executions
	$(BIN)/python -m benchmarks.memory

# Takes 12 GB of disk and some ten minutes to fill, the first time; MILLION takes arguments of `python -m benchmarks.million`.
bench-million: $(VENV)/dev.installed ## whether lists keep their bars with a million executions; kept in var/million
	$(BIN)/python -m benchmarks.million $(MILLION)

bench-admin: $(VENV)/dev.installed ## the same of the pages of the admin, on the same database; some ten minutes
	$(BIN)/python -m benchmarks.admin $(MILLION)

migrate: $(VENV)/runtime.installed ## bring the database of DATABASE_URL up to date
	$(BIN)/python manage.py migrate

lock: ## resolve the dependencies anew (needs uv)
	uv pip compile pyproject.toml --extra embedded --universal --python-version 3.11 --generate-hashes \
		--no-strip-extras --no-emit-index-url --no-header --no-annotate -o requirements/runtime.txt
	uv pip compile pyproject.toml --extra embedded --extra otel --extra s3 -c requirements/runtime.txt --universal \
		--python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-header \
		--no-annotate -o requirements/extras.txt
	uv pip compile pyproject.toml --extra embedded --extra otel --extra s3 --group dev -c requirements/runtime.txt --universal \
		--python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-header \
		--no-annotate -o requirements/dev.txt

clean: ## remove the virtual environment; data in var/ stays
	rm -rf $(VENV)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12 …" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/runtime.installed: requirements/runtime.txt | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/runtime.txt
	@touch $@

$(VENV)/dev.installed: requirements/dev.txt | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@ $(VENV)/runtime.installed
