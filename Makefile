# Two commands for a newcomer: `make demo` and `make test`. Both set up what is missing.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test lint clean

$(BIN)/paseg: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	@touch $@

demo: $(BIN)/paseg
	$(BIN)/paseg demo

test: $(BIN)/paseg
	$(BIN)/python -m pytest

lint: $(BIN)/paseg
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) paseg_demo build *.egg-info
