# Everything a person types. `make run` and `make test` set up what they need, once.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
USE_CASE ?= telco_churn
PORT ?= 3000
# Where compiled modules are not kept, every process takes seconds longer to start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run dev serve mlflow test test-quick test-tools lint format bench lock clean

help: ## Show this help.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: $(READY) ## Ingest, train, gate, promote, score. SOURCE=path or URI, USE_CASE=name, RETRAIN=1, TUNE=trials, ACCEPT=1, OUTPUT=path or URI
	@$(BIN)/churn run --use-case "$(USE_CASE)" \
	  $(if $(SOURCE),--source "$(SOURCE)") $(if $(filter-out 0,$(RETRAIN)),--retrain) \
	  $(if $(filter-out 0,$(ACCEPT)),--accept) \
	  $(if $(TUNE),--tune "$(TUNE)") $(if $(OUTPUT),--output "$(OUTPUT)")

dev: $(READY) ## Open the Dagster UI at http://127.0.0.1:3000 (PORT=...). SOURCE=, USE_CASE=
	@exec $(BIN)/churn dev --port $(PORT) --use-case "$(USE_CASE)" \
	  $(if $(SOURCE),--source "$(SOURCE)")

serve: $(READY) ## Answer requests at http://127.0.0.1:8000 (PORT=...).
	@exec $(BIN)/churn serve $(if $(filter-out 3000,$(PORT)),--port $(PORT))

mlflow: $(READY) ## Open MLflow's UI at http://127.0.0.1:5000.
	@exec $(BIN)/churn mlflow

test: $(READY) test-tools ## Run all tests.
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

test-quick: $(READY) ## Run the tests that need no whole job, server, Spark or browser; under two minutes.
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder \
	  -m "not slow and not external"

test-tools: # What the tests need beyond Python; the tests say what is missing.
	@.ci/test-tools

lint: $(READY) ## Check style, types and who imports whom.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache --no-logo

format: $(READY) ## Rewrite the code in the project's style.
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(READY) ## Measure, and print the figures as ratios; an hour, most of it the peers'.
	@$(BIN)/python -m benchmarks
	@$(BIN)/python -m benchmarks.gates
	@$(BIN)/python -m benchmarks.peers
	@$(BIN)/python -m benchmarks.peers --law
	@$(BIN)/python -m benchmarks.booking
	@$(BIN)/python -m benchmarks.serving --peers
	@$(BIN)/python -m benchmarks.bundles
	@$(BIN)/python -m benchmarks.inference_log
	@$(BIN)/python -m benchmarks.guard
	@WHOLE_PROOFS=1 $(BIN)/python -m pytest -q --no-header -o timeout=3600 \
	  churn_assets_tests/integration/test_parity.py churn_assets_tests/integration/test_crash.py \
	  churn_assets_tests/serving/test_under_load.py -k "many or killed or no_call_fails"

lock: $(READY) ## Renew requirements.lock from pyproject.toml.
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras \
	  --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --custom-compile-command "make lock" pyproject.toml -o requirements.lock

clean: ## Remove the environment and caches; tables, models and history in .churn stay.
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "Kept: .churn (tables, models, history). Remove it by hand to start over."

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "make: Python 3.11 or newer is needed, and '$(PYTHON)' is not; set PYTHON=..." >&2; exit 1; }
	@echo "Setting up .venv, once: one to five minutes, most of them downloads ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || \
	  { echo "make: '$(PYTHON) -m venv' failed; install the package python3-venv" >&2; exit 1; }
	@date +%s > .venv/.begun
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  "$$(sed -nE 's/^(uv==[^ ;]+).*/\1/p' requirements.lock)"
	@echo "... $$(grep -c '^[a-z].*==' requirements.lock) packages, after $$(( $$(date +%s) - $$(cat .venv/.begun) )) s"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@echo "Set up in $$(( $$(date +%s) - $$(cat .venv/.begun) )) s."
	@rm .venv/.begun; touch $@
