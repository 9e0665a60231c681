# `make demo`, `make test` and `make test-runtimes` do all their own set-up; they need a CPython >= 3.10 and make,
# nothing else.
PYTHON ?= python3
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# The extra that `make test-runtimes` installs, and the tests that it runs. All runtimes live in one environment today.
# Should the pins of one ever clash with the others', it gets an environment of its own by a second call:
#   make test-runtimes VENV=.venv-tvm RUNTIMES=tvm TESTS=tests/judges/test_tvm.py
RUNTIMES ?= runtimes
TESTS ?= tests
RUNTIMES_READY := $(VENV)/.$(RUNTIMES)-ready

# Two test processes on two cores: one thread each.
export OMP_NUM_THREADS ?= 1

.PHONY: help setup demo test test-runtimes lint types check clean

help:
	@echo "make demo   quantize the trained example in examples/ for onnxruntime and show every step"
	@echo "make test   ruff, mypy --strict and all tests (JOBS=$(JOBS) processes) but those of the other runtimes"
	@echo "make test-runtimes   install the vendors' runtimes too (LiteRT, TFLM, ncnn, OpenVINO, TVM, IREE) and run"
	@echo "                     the tests that compare with them"
	@echo "make lint | types | check   the parts of make test"
	@echo "make clean  remove what the above made, the virtual environment included"

PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "qir needs Python 3.10 or later; set PYTHON=")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "python's venv module does not work here (Debian: apt-get install python3-venv)"; exit 1; }
	@echo "installing qir and what it needs into $(VENV) (once; torch takes a while)"
	@$(PIP) torch==2.13.0 -e '.[dev]'
	@touch $@

$(RUNTIMES_READY): $(READY)
	@echo "installing the runtimes into $(VENV) (once)"
	@$(PIP) -e '.[$(RUNTIMES)]'
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
	$(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal -m "not runtime"

test-runtimes: $(RUNTIMES_READY)
	$(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal -m runtime $(TESTS)

clean:
	rm -rf $(VENV) out build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
