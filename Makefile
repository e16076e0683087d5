# The only task runner. Every target makes .venv first, from constraints.txt; a second run is quick.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
EXTRAS := train,cli,plot,dev
WORKERS ?= 2

ENGINE := CMakeLists.txt $(shell find csrc python -name '*.cpp' -o -name '*.h' -o -name '*.cmake')
CXX_SOURCES := $(filter %.cpp %.h,$(ENGINE)) $(shell find bench -name '*.cpp' -o -name '*.h')
INSTALL_EDITABLE := $(PIP) --no-build-isolation \
	--config-settings=cmake.define.HASHCORE_WERROR=ON --editable

.PHONY: help demo test lint format bench bench-compare clean
.DELETE_ON_ERROR:

help:
	@echo "make demo    train, index, search and write demo/report.html (about two minutes)"
	@echo "make test    run the tests"
	@echo "make lint    check style, types and the engine's stub"
	@echo "make format  rewrite style"
	@echo "make bench   measure against the peers; results in bench/results (BENCH_FLAGS=--quick)"
	@echo "make bench-compare A=old.json B=new.json    two runs of make bench side by side"
	@echo "make clean   remove .venv and build"

$(VENV)/.tools: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "hashcore needs Python 3.11 or newer; run make PYTHON=/path/to/python3.11"; exit 2; }
	@echo "Creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) scikit-build-core pybind11 ninja cmake
	@touch $@

$(VENV)/.installed: $(VENV)/.tools pyproject.toml $(ENGINE)
	@echo "Installing hashcore and what it needs (the first time takes a few minutes)"
	@$(INSTALL_EDITABLE) ".[$(EXTRAS)]"
	@touch $@

$(VENV)/.bench: $(VENV)/.installed
	@echo "Installing the peers to measure against"
	@$(INSTALL_EDITABLE) ".[bench]"
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/hashcore demo

test: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) $(PYTEST_FLAGS)

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run -Werror $(CXX_SOURCES)
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest --allowlist tests/stubtest_allowlist.txt hashcore._core

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CXX_SOURCES)

bench: $(VENV)/.bench
	$(BIN)/python -m bench $(BENCH_FLAGS)

bench-compare: $(VENV)/.installed
	@$(BIN)/python -m bench.compare $(A) $(B)

clean:
	rm -rf $(VENV) build
