# make serve   set everything up and run the server with its page on http://127.0.0.1:8503
# make demo    the same, with an example shop under load beside it
# make test    set everything up and run every check
# make help    the rest

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PAGE := src/mirante/server/ui/index.html
MODULES := ui/node_modules/.package-lock.json
SOURCES := src tests tools benchmarks examples hatch_build.py
PAGE_SOURCES := $(shell find ui/src -type f 2>/dev/null) ui/index.html ui/vite.config.ts ui/package.json
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help serve demo test lint types imports pytest quick page-checks ui lock bench-sdk bench-server bench-web bench-promql bench-rules fuzz soak clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

serve: $(READY) $(PAGE) ## set up and run the server; ARGS="--port 9000" passes flags
	$(BIN)/mirante serve $(ARGS)

demo: $(READY) $(PAGE) ## the server with an example shop under load beside it
	$(BIN)/python -m examples.shop --with-server

test: $(READY) $(PAGE) lint types imports page-checks pytest ## every check

lint: $(READY) ## ruff: style and common mistakes
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)

types: $(READY) ## mypy --strict
	$(BIN)/mypy

imports: $(READY) ## imports point down only
	$(BIN)/lint-imports

pytest: $(READY) $(PAGE) ## all tests, with branch coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/python tools/coverage_floor.py

quick: $(READY) ## the tests that take less than a second each
	$(BIN)/pytest -m "not slow" $(ARGS)

page-checks: $(MODULES) ## the page: lint, types, unit tests
	$(BIN)/python tools/node.py npm --prefix ui run lint
	$(BIN)/python tools/node.py npm --prefix ui run typecheck
	$(BIN)/python tools/node.py npm --prefix ui run test

ui: $(PAGE) ## build the page

bench-sdk: $(READY) ## the SDK beside prometheus_client and the OpenTelemetry SDK
	$(BIN)/python benchmarks/bench_sdk.py
	$(BIN)/python benchmarks/bench_telemetry.py
	$(BIN)/python benchmarks/bench_tracing.py
	$(BIN)/python benchmarks/bench_logging.py
	$(BIN)/python benchmarks/bench_health.py

bench-server: $(READY) ## ingestion until queryable, beside Prometheus and VictoriaMetrics
	$(BIN)/python benchmarks/bench_ingest.py
	$(BIN)/python benchmarks/bench_remote_write.py
	$(BIN)/python benchmarks/bench_scrape.py
	$(BIN)/python benchmarks/bench_import.py

bench-web: $(READY) ## a FastAPI application under wrk, beside OpenTelemetry's instrumentation
	$(BIN)/python benchmarks/bench_web.py
	$(BIN)/python benchmarks/bench_web.py --handler slow

bench-promql: $(READY) ## queries beside Prometheus
	$(BIN)/python benchmarks/bench_promql.py
	$(BIN)/python -m benchmarks.bench_promql_growth --plot docs/images/promql-growth.svg
	$(BIN)/python -m benchmarks.bench_dashboard

bench-rules: $(READY) ## 5,000 rules over 100,000 series, beside Prometheus; 10,000 alerts beside Alertmanager; a month replayed
	$(BIN)/python benchmarks/bench_rules.py
	$(BIN)/python benchmarks/bench_backtest.py
	$(BIN)/python benchmarks/bench_notify.py

# Tests with a number of examples of their own keep it.
PARSERS := tests/formats tests/server/ingest tests/server/scrape/test_page.py tests/server/scrape/test_protobuf.py \
	tests/server/scrape/test_relabel.py tests/server/promql/test_parse.py tests/server/api/test_parameters.py
fuzz: $(READY) ## random input: every parser, and 2,000 queries against the real Prometheus; takes an hour
	HYPOTHESIS_PROFILE=fuzz $(BIN)/pytest -q -m "not slow" $(PARSERS)
	MIRANTE_FUZZ_BODIES=5000 $(BIN)/pytest -q -m slow tests/server/ingest/test_any_bytes.py
	$(BIN)/python -m tools.fuzz_atheris $${MIRANTE_FUZZ_RUNS:-20000}
	MIRANTE_FUZZ_QUERIES=2000 MIRANTE_FUZZ_SEED=$${SEED:-7} $(BIN)/pytest -q -s tests/server/promql/test_random_queries.py

soak: $(READY) ## everything writes for ten minutes (MIRANTE_SOAK_SECONDS) and nothing is lost; twenty kills in mid load
	$(BIN)/python benchmarks/soak.py
	MIRANTE_TEST_KILLS=20 $(BIN)/pytest -q tests/integration/test_killed.py

lock: ## pin every dependency again, with hashes and without addresses
	$(BIN)/uv pip compile pyproject.toml --extra server --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links --upgrade --quiet -o requirements.txt

clean: ## remove what the other targets made
	rm -rf $(VENV) ui/node_modules src/mirante/server/ui dist .coverage* .mypy_cache .ruff_cache .pytest_cache

$(READY): requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("mirante needs Python 3.11 or newer; set PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(MODULES): ui/package-lock.json $(READY)
	$(BIN)/python tools/node.py npm --prefix ui ci --no-audit --no-fund
	@touch $@

$(PAGE): $(PAGE_SOURCES) $(MODULES)
	$(BIN)/python tools/node.py npm --prefix ui run build
	@touch $@
