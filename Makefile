# Plumbline. `make` alone prints the list of targets.
#
# Everything is called as `.venv/bin/python -m …`: scripts in .venv/bin break in a folder whose path has a space.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Where bytecode is not kept, each of the many processes of a test run reads and compiles everything anew.
unexport PYTHONDONTWRITEBYTECODE

PY := .venv/bin/python

.PHONY: help
help: ## print this list
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name what; do printf '  make %-14s %s\n' "$$name" "$$what"; done

.PHONY: setup
setup: .venv/installed ## make .venv and install the pinned requirements
	@echo "Ready: make demo"

.PHONY: engine
engine: .venv/installed-gpu ## install what loads models (torch, transformers), for generating and judging
	@echo "Ready: make demo"

.PHONY: demo
demo: .venv/installed ## start everything with the demo project; PORT=8000; Ctrl-C stops
	@exec $(PY) manage.py demo $(if $(PORT),--port '$(PORT)')

.PHONY: test
test: .venv/installed-dev ## run every test; ARGS='tests/config -x' runs some
	@.ci/chromium
	@.ci/brokers
	@.ci/test $(ARGS)

.PHONY: check
check: .venv/installed-dev ## ruff, mypy, djlint, migrations, deployment settings
	@.ci/check

.PHONY: bench
bench: .venv/installed-dev ## run every benchmark quickly; ARGS= runs them in full
	@.ci/bench $(if $(filter undefined,$(origin ARGS)),--quick,$(ARGS))

.PHONY: messages
messages: .venv/installed ## bring the translations in locale/ up to date with the texts, and compile them
	@$(PY) manage.py messages

.PHONY: requirements
requirements: .venv/installed ## compile the pins of pyproject.toml into requirements*.txt
	@.ci/install --compile

.PHONY: clean
clean: ## stop the embedded database, remove .venv and caches; var/ stays
	@if [ -x $(PY) ]; then $(PY) -m config.embedded stop; fi
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './var/*' -prune -exec rm -rf {} +

.venv/installed: requirements.txt .ci/install
	@.ci/install requirements.txt
	@touch $@

.venv/installed-gpu: requirements-gpu.txt .ci/install
	@.ci/install requirements-gpu.txt
	@touch $@ .venv/installed

.venv/installed-dev: requirements-dev.txt .ci/install
	@.ci/install requirements-dev.txt
	@touch $@ .venv/installed
