# The same commands for people and for CI. VENV may name another folder: make test VENV=/tmp/venv
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready

.PHONY: install web demo test check format bench docs clean

install: $(READY)

# constraints/cpu.txt pins a torch whose wheel is small on machines that hold a CPU build; others get their own
$(READY): pyproject.toml constraints/cpu.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints/cpu.txt --editable '.[dev]'
	touch $(READY)

# the page at /; without Node 20 the service says that it has none
web: src/pinfold/serving/web/index.html

WEB_SOURCES = $(wildcard web/*.html web/*.json web/*.ts web/src/*)
src/pinfold/serving/web/index.html: $(WEB_SOURCES)
	@if command -v npm >/dev/null; then cd web && npm ci --no-audit --no-fund && npm run build; \
	else echo "npm is not installed: the page at / is left out"; fi

demo: install web
	$(BIN)/pinfold demo

test: install web
	$(BIN)/pytest --numprocesses 2 --durations 5

check: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# benchmarks/README.md says what each script measures and how long it takes
bench: install
	$(BIN)/python benchmarks/gowalla.py --data $(GOWALLA)

# rewrites what is generated: the map in ARCHITECTURE.md, docs/run-files.md, docs/commands.md
docs: install
	$(BIN)/python tools/make_docs.py

clean:
	rm -rf $(VENV) pinfold-demo web/node_modules src/pinfold/serving/web
