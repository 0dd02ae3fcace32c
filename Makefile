# make run: install and open the assistant. make test: install and pass the tests. make check: what CI runs.
PYTHON ?= python3.11
VENV := .venv
PEERS := .venv-peers
BIN := $(VENV)/bin

.PHONY: run test check format build measure fit finetune load scale peers screenshots clean

run: $(VENV)/installed build
	$(BIN)/assistant serve

test: $(VENV)/installed-dev build
	$(BIN)/pytest

check: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/assistant build
	$(BIN)/assistant check --no-warnings
	$(BIN)/pytest

build: $(VENV)/installed
	$(BIN)/assistant build

format: $(VENV)/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

fit: $(VENV)/installed-dev
	$(BIN)/python -m quality.fit
	$(BIN)/python -m quality.fit_flag

finetune: $(VENV)/installed-dev
	$(BIN)/python -m quality.finetune --out index/e5-calls-q4.bin --steps 600

measure: $(VENV)/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m quality.measure

load: $(VENV)/installed-dev build
	$(BIN)/python -m quality.load

scale: $(VENV)/installed-dev build
	$(BIN)/python -m quality.scale

peers: $(PEERS)/installed
	$(PEERS)/bin/python -m quality.peers

screenshots: $(VENV)/installed-dev
	$(BIN)/python -m quality.screenshots

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .[dev]
	touch $@

$(PEERS)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(PEERS) || python3 -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .[peers]
	touch $@

clean:
	rm -rf $(VENV) $(PEERS) var
