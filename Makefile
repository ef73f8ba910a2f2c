# `make` alone lists what there is. Everything happens in .venv, which the first command makes.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.DEFAULT_GOAL := help
.PHONY: help demo test run lint format types migrations coverage storm bench build check clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(INSTALLED) ## Show the library at work against a stand-in for GOV.UK Notify
	@$(BIN)/python example_project/manage.py demo

test: $(INSTALLED) ## Run the tests on SQLite: no service is needed
	@$(BIN)/python -m pytest --quiet --numprocesses 3 --dist loadfile

run: $(INSTALLED) ## Run the example project: website, worker, beat and the stand-in
	@$(BIN)/python example_project/manage.py run

lint: $(INSTALLED) ## Look for mistakes and check the format
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { echo "Not formatted: run make format"; exit 1; }

format: $(INSTALLED) ## Mend what lint can mend
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .

types: $(INSTALLED) ## Check the types
	@$(BIN)/mypy
	@cd example_project && PYTHONPATH=. ../$(BIN)/mypy

migrations: $(INSTALLED) ## Check that the migrations match the models
	@$(BIN)/python scripts/check_migrations.py

coverage: $(INSTALLED) ## Run the tests and say which lines none of them ran
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest --quiet
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

storm: $(INSTALLED) ## Break everything at random for a while, and count
	@$(BIN)/python -m tests.storm $(STORM)

bench: $(INSTALLED) ## Measure all that docs/benchmarks.md names, on PostgreSQL and a broker
	@sed -n 's|^python benchmarks/||p' docs/benchmarks.md | { failed=0; while read -r command; do \
		echo; echo "$$command"; $(BIN)/python benchmarks/$$command </dev/null || failed=1; done; exit $$failed; }

build: $(INSTALLED) ## Build the source archive and the wheel into dist/, and check them
	@rm -rf dist
	@$(BIN)/python -m build --outdir dist . >.venv/build.log 2>&1 || { cat .venv/build.log; exit 1; }
	@$(BIN)/python scripts/check_wheel.py dist
	@$(BIN)/python scripts/check_release.py

check: lint types migrations test build ## Everything above that judges: run it before a pull request

clean: ## Remove what make made
	@rm -rf .venv dist htmlcov .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# pip reads dependency groups since 25.1, hence the upgrade before anything else.
$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is missing or older than 3.11. Name a newer one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@echo "Installing into .venv: once, and again when pyproject.toml changes."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --upgrade pip
	@$(BIN)/python -m pip install -qq --editable . --group dev
	@touch $@
