# tokenyard: eight commands do everything on a machine with Python 3.11+, pip and make.
#   make demo   install, measure this machine's CPU, replay two traces under nine policies, write the report
#   make test   install what the tests need and run them on every core
#   make check  what takes longer: the engine compiled, claims, 4 times the random cases, queueing theory, random commands, kills, mutants
#   make wheel  a compiled wheel for Linux in dist/, for any with glibc 2.17 or newer and this Python
#   make golden write tests/golden/policies.json anew, and print what differs: after a change that is meant
#   make mutate change one thing of the engine or a policy, a hundred times, and see whether a test fails each time
#   make rtlm   every experiment of RT-LM's kind, and its figures: about an hour on 2 cores, and it goes on where it stopped
#   make vllm   install vLLM's own scheduler in .venv-vllm, and compare every decision of the engine with it

PYTHON ?= python3
VENV ?= .venv
VLLM ?= .venv-vllm
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt

.PHONY: demo test check compiled wheel golden mutate rtlm vllm lint clean help

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
	$(BIN)/tokenyard profile measure model=gpt2 device=cpu grid=quick output=$@

demo: $(VENV)/.demo results/profiles/gpt2/cpu.json
	$(BIN)/tokenyard -m experiment=demo
	$(BIN)/tokenyard figures response_time results/demo
	$(BIN)/tokenyard report results/demo

RTLM := main kinds ladder ablation alpha lambda b xi k c_f malicious variance strength predictions continuous recorded

rtlm: $(VENV)/.demo
	set -e; for name in $(RTLM); do $(BIN)/tokenyard -m experiment=rtlm/$$name > /dev/null; done
	$(BIN)/tokenyard figures rtlm

test: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/mypy
	TOKENYARD_PURE=1 $(BIN)/python -m pytest -n logical --dist loadfile -m 'not long and not claim'

# The same tests of the engine and the policies on what mypyc makes of it, in a copy: a checkout runs as it is edited.
COMPILED := build/compiled
compiled: $(VENV)/.test
	rm -rf $(COMPILED) && mkdir -p $(COMPILED)
	cp -r Makefile README.md CHANGELOG.md CONTRIBUTING.md constraints.txt setup.py setup.cfg pyproject.toml docs notebooks \
		sim policies traces profiles experiments tests $(COMPILED)
	cd $(COMPILED) && TOKENYARD_PURE=0 $(abspath $(BIN))/python setup.py -q build_ext --inplace
	cd $(COMPILED) && PYTHONPATH=. $(abspath $(BIN))/python -m experiments.cli --version | grep 'engine is compiled'
	cd $(COMPILED) && PYTHONPATH=. $(abspath $(BIN))/python -m pytest -n logical --dist loadfile -m 'not long and not claim' \
		tests/sim tests/policies tests/test_decisions.py

$(VENV)/.wheel: setup.cfg constraints.txt | $(BIN)/python
	$(PIP) -e '.[wheel]'
	@touch $@

wheel: $(VENV)/.wheel
	rm -rf build/wheel && $(BIN)/python -m pip wheel --disable-pip-version-check -q --no-deps -w build/wheel .
	PATH=$(abspath $(BIN)):$$PATH $(BIN)/auditwheel repair -w dist build/wheel/*.whl

check: $(VENV)/.test compiled
	$(BIN)/python -m pytest -n logical --dist loadfile -m 'long or claim'
	TOKENYARD_EFFORT=2 $(BIN)/python -m pytest -n logical --dist loadfile -m 'hypothesis and not long and not claim' tests/sim tests/policies
	$(BIN)/tokenyard engine theory
	$(BIN)/python tests/fuzz_settings.py --configs 2000
	$(BIN)/python tests/test_kills.py --kills 10
	TOKENYARD_EFFORT=1 $(BIN)/python tests/mutate.py --mutants 100

mutate: $(VENV)/.test
	TOKENYARD_EFFORT=1 $(BIN)/python tests/mutate.py --mutants 100

golden: $(VENV)/.test
	$(BIN)/python tests/decisions.py

# vLLM pins other versions than constraints.txt. Nothing here needs the three packages taken away again, and where pip
# finds them built for another torch, vLLM could not be imported.
$(VLLM)/.vllm: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip install --disable-pip-version-check -q -e '.[vllm]' pytest hypothesis
	$(VLLM)/bin/python -m pip uninstall --disable-pip-version-check -q -y torchaudio torchcodec torchvision
	@touch $@

vllm: $(VLLM)/.vllm
	$(VLLM)/bin/tokenyard engine against-vllm

lint: $(VENV)/.test
	$(BIN)/ruff check . && $(BIN)/mypy

clean:
	rm -rf $(VENV) $(VLLM) results build dist *.egg-info
