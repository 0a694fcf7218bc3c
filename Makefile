# Every target sets up what it needs by itself, and does it again only when its inputs changed.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMPS := .build
JOBS ?= auto
SOAK ?= 600
CORE := $(wildcard kubesim/_core/*.pyx kubesim/_core/*.pxd)

.PHONY: run test soak check bench debug clean data help

help:                   ## this list
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*## /\t/'

$(STAMPS)/venv: pyproject.toml
	@mkdir -p $(STAMPS)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the dependencies into $(VENV)"
	@$(BIN)/pip install -q --disable-pip-version-check "setuptools>=77" wheel "Cython>=3.1,<4" "numpy>=1.26"
	@touch $@

$(STAMPS)/build: $(STAMPS)/venv setup.py $(CORE)
	@echo "building the extensions (log: $(STAMPS)/build.log)"
	@$(BIN)/python setup.py build_ext --inplace --force --parallel 2 > $(STAMPS)/build.log 2>&1 || { cat $(STAMPS)/build.log; exit 1; }
	@KUBESIM_BUILT=1 $(BIN)/pip install -q --disable-pip-version-check --no-build-isolation -e '.[test,check]' >> $(STAMPS)/build.log 2>&1 || { tail -50 $(STAMPS)/build.log; exit 1; }
	@$(BIN)/python -m compileall -q kubesim  # a first run reads bytecode, also where Python may not write it by itself
	@touch $@

run: $(STAMPS)/build    ## set up, show the flow of a Deployment, then 10,000 Pods on 1,000 nodes
	@$(BIN)/kubesim run --flow
	@$(BIN)/kubesim run --nodes 1000 --pods 10000

$(STAMPS)/debian: tools/debian_packages.sh
	@mkdir -p $(STAMPS)
	@tools/debian_packages.sh
	@touch $@

test: $(STAMPS)/build $(STAMPS)/debian   ## set up and run all tests
	@$(BIN)/python -m pytest -n $(JOBS)

soak: $(STAMPS)/build   ## the long versions of tests: SOAK seconds of schedules, known bugs, kill tables, 1,000 kill -9, 20,000 Pods against twins
	@$(BIN)/python -m tools.soak --seconds $(SOAK)
	@$(BIN)/python -m tools.soak_properties --seconds $(SOAK)
	@$(BIN)/python -m tools.soak --seconds 60 --bugs
	@$(BIN)/python -m kubesim.testing.masters
	@$(BIN)/python -m tests.server.ha.kills --writes 5000
	@$(BIN)/python -m tests.server.etcd.crashes --kills 1000
	@$(BIN)/python -m tests.scheduler.twins --pairs 20000 --recordings

check: $(STAMPS)/build  ## ruff, mypy, the floors, the build log, the house style
	@$(BIN)/ruff check kubesim tests bench examples tools setup.py
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports
	@$(BIN)/python tools/check_build_log.py $(STAMPS)/build.log

bench: $(STAMPS)/build $(STAMPS)/debian  ## run the benchmarks at full size and print the table of README.md
	@$(BIN)/python -m bench.table

debug: $(STAMPS)/venv   ## build the extensions with every check on and run the tests on that build
	@KUBESIM_DEBUG=1 $(BIN)/python setup.py build_ext --inplace --force --parallel 2 > $(STAMPS)/debug.log 2>&1 || { cat $(STAMPS)/debug.log; exit 1; }
	@rm -f $(STAMPS)/build
	@$(BIN)/pip install -q --disable-pip-version-check 'pytest>=8' pytest-benchmark pytest-xdist hypothesis orjson PyYAML rich click
	@$(BIN)/python -m pytest -n $(JOBS)

data: $(STAMPS)/build   ## make kubesim/api/data again from the published schema package
	@$(BIN)/pip install -q --disable-pip-version-check '.[data]'
	@$(BIN)/python tools/make_schema.py

clean:                  ## remove everything that was built
	rm -rf $(STAMPS) $(VENV) build *.egg-info kubesim/_core/*.c kubesim/_core/*.so
