# Needs Python 3.11 or later with venv, make, and to simulate RTL a C++ compiler. On Debian:
# apt install python3 python3-venv make g++
#
# make demo      set up, then simulate LeNet-5 on digits; writes demo/report.html
# make test      set up, then pass the tests
# make test-slow the tests that take longer
# make test-fresh as root: the README, followed in fresh roots of Debian (tests/fresh/run.sh)
# make lint      formatting, lints, types and imports
# make docs      the documentation site, in build/site
# make bench     what is fast, measured

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: demo test test-slow test-fresh lint docs bench clean compiler

demo: $(VENV)/.core
	$(BIN)/pilaster run lenet5 --report demo

test: compiler $(VENV)/.dev
	$(BIN)/python -m pytest -n auto -m "not slow" $(TESTS)

test-slow: compiler $(VENV)/.dev
	$(BIN)/python -m pytest -n auto -m slow $(TESTS)

test-fresh:
	tests/fresh/run.sh

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	rm -rf build/types
	$(BIN)/pip install --quiet --no-deps --target build/types .
	MYPYPATH=build/types $(BIN)/mypy -p pilaster
	cd build/types && PYTHONPATH=. ../../$(BIN)/lint-imports --no-cache ../../pyproject.toml

docs: $(VENV)/.dev
	$(BIN)/sphinx-build -W --keep-going -q docs build/site

bench: compiler $(VENV)/.dev
	$(BIN)/python benchmarks/bench.py

compiler:
	@command -v "$${CXX:-g++}" >/dev/null || command -v c++ >/dev/null || command -v clang++ >/dev/null \
	    || [ -n "$$CXX" ] || { echo "a C++ compiler is needed to simulate RTL: apt install g++"; exit 1; }

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or later is needed: apt install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed; $$($(PYTHON) --version) is too old"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv is needed: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(VENV)/bin/python pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@ $(VENV)/.core

clean:
	rm -rf $(VENV) build demo
