# tokenyard: two commands do everything on a machine with Python 3.11+, pip and make.
#   make demo   install, measure this machine's CPU, replay two traces under eight policies, draw the comparison
#   make test   install what the tests need and run them all

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt

.PHONY: demo test lint clean help

help:
	@sed -n 's/^#   //p' Makefile

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tokenyard needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: setup.cfg pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[profile]'
	@touch $@

$(VENV)/.test: setup.cfg pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[dev]'
	@touch $@

# This machine's own profile: measured once. Delete results/ to begin anew.
results/profiles/gpt2/cpu.json: | $(VENV)/.demo
	$(BIN)/python -m profiles.measure model=gpt2 device=cpu grid=quick output=$@

demo: $(VENV)/.demo results/profiles/gpt2/cpu.json
	$(BIN)/tokenyard -m experiment=demo
	$(BIN)/python -m experiments.collect results/demo > /dev/null
	$(BIN)/python -m experiments.figures.response_time results/demo

test: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

lint: $(VENV)/.test
	$(BIN)/ruff check . && $(BIN)/mypy

clean:
	rm -rf $(VENV) results build dist *.egg-info
