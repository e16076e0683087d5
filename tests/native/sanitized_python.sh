#!/usr/bin/env bash
# sanitized_python.sh VENV BUILD PYTEST-ARGUMENT...: runs pytest with VENV's packages, the sources of
# this checkout and the extension of BUILD, which was compiled with the address and
# undefined-behaviour sanitizers.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=$PWD/$1 build=$PWD/$2
shift 2

rm -rf "$build/site"
mkdir -p "$build/site"
cp -r src/hashcore "$build/site"
"$venv/bin/cmake" --install "$build" --prefix "$build/site" > "$build/install.log"

# An interpreter of its own: the editable hashcore of VENV must not win over the one above.
"$venv/bin/python" -m venv --without-pip "$build/venv"
site_of() { "$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }
printf '%s\n' "$build/site" "$(site_of "$venv")" > "$(site_of "$build/venv")/packages.pth"

# libstdc++ as well: the sanitizer intercepts exceptions only where it is loaded at the start.
preload=
for library in libasan.so libubsan.so libstdc++.so; do
    preload+="$(${CXX:-c++} -print-file-name=$library) "
done
# Python keeps memory until its end, and what it starts may not be instrumented.
ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 OMP_NUM_THREADS=1 \
    LD_PRELOAD=$preload "$build/venv/bin/python" -m pytest "$@"
