# `make demo` shows the whole project at work, `make test` runs its suite, `make bench` its benchmarks. Each sets up all it needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO_HOME ?= demo

.PHONY: demo test unit bench lint docs clean

demo: $(VENV)/installed
	CRYPTOLIQ_HOME=$(DEMO_HOME) $(BIN)/cryptoliq demo

# Three processes for two cores: many tests wait for a daemon, a browser or a database. In the order of folders, the long ones begin first.
test: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

# The development loop: under a minute.
unit: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile -m unit

bench: $(VENV)/installed-bench
	$(BIN)/python benchmarks/run_all.py

lint: $(VENV)/installed-dev
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/pre-commit run --all-files

# The documentation as a site in site/; needs no network.
docs: $(VENV)/installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: requirements.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

$(VENV)/installed-dev: requirements-dev.txt $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-dev.txt
	touch $@

$(VENV)/installed-bench: requirements-bench.txt $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-dev.txt -r requirements-bench.txt
	touch $@

clean:
	rm -rf $(VENV) $(DEMO_HOME)
