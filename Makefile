# Start here: `make demo` and `make test`. Both install what is missing. `make benchmark-quick` reproduces
# a row of the accuracy table in less than half an hour on two CPU cores.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# A folder of the datasets named in benchmarks/accuracy/grid.py; phantoms where there is none.
DATA ?= $(PASEG_TEST_DATA)

# Version of the viewer of `paseg annotate`.
NIIVUE ?= 0.69.0

.PHONY: demo test lint benchmark-quick niivue clean

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

benchmark-quick: $(BIN)/paseg
	$(BIN)/python -m benchmarks.accuracy.quick $(DATA) --workspace paseg_benchmark

# Renews the viewer from its npm package, and the version in its licence file.
niivue:
	work=$$(mktemp -d) && cd $$work && npm pack --silent @niivue/niivue@$(NIIVUE) && tar xzf niivue-niivue-$(NIIVUE).tgz && \
		cp package/dist/niivue.umd.js $(CURDIR)/nnunet_paseg/annotate/static/ && rm -rf $$work
	sed -i 's/NiiVue [0-9.]*,/NiiVue $(NIIVUE),/' nnunet_paseg/annotate/static/niivue.LICENSE.txt

clean:
	rm -rf $(VENV) paseg_demo paseg_benchmark build *.egg-info
