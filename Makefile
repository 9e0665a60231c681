# `make demo` and `make test` do all their own set-up; they need a CPython >= 3.10 and make, nothing else.
PYTHON ?= python3
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Two test processes on two cores: one thread each.
export OMP_NUM_THREADS ?= 1

.PHONY: help setup demo test lint types check clean

help:
	@echo "make demo   quantize the trained example in examples/ for onnxruntime and show every step"
	@echo "make test   ruff, mypy --strict and all tests (JOBS=$(JOBS) processes)"
	@echo "make lint | types | check   the parts of make test"
	@echo "make clean  remove what the above made, the virtual environment included"

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "qir needs Python 3.10 or later; set PYTHON=")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "python's venv module does not work here (Debian: apt-get install python3-venv)"; exit 1; }
	@echo "installing qir and what it needs into $(VENV) (once; torch takes a while)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0 -e '.[dev]'
	@touch $@

setup: $(READY)

demo: $(READY)
	@$(BIN)/python examples/digits/demo.py --out out/demo

test: lint types check

lint: $(READY)
	$(BIN)/ruff check .

types: $(READY)
	$(BIN)/mypy

check: $(READY)
	$(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal

clean:
	rm -rf $(VENV) out build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
