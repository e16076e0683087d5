#pragma once
#include <cxxabi.h>
#include <pybind11/pybind11.h>
#include <unistd.h>

#include "hashcore/runtime.h"

namespace hashcore::python {

namespace py = pybind11;

/// While the interpreter ends, taking the GIL on another thread unwinds that thread, which would
/// tear down memory that its helpers use. Such a thread sleeps until the process is gone instead.
template <class Take>
void take_gil_or_sleep_forever(const Take& take) {
    try {
        take();
    } catch (abi::__forced_unwind&) {
        for (;;) pause();
    }
}

/// Runs body(Monitor*) with the GIL released. Ctrl-C, or an exception of `progress` (None, or a
/// callable that takes done and total), stops it and is raised.
template <class Body>
void run_long_call(const py::object& progress, const Body& body) {
    const bool reports = !progress.is_none();
    Monitor monitor(
        [&](int64_t done, int64_t total) {
            PyGILState_STATE gil{};
            take_gil_or_sleep_forever([&] { gil = PyGILState_Ensure(); });
            std::exception_ptr raised;
            try {
                if (PyErr_CheckSignals() != 0) throw py::error_already_set();
                if (reports) progress(done, total);
            } catch (...) {
                raised = std::current_exception();
            }
            PyGILState_Release(gil);
            if (raised) std::rethrow_exception(raised);
            return true;
        },
        reports);
    std::exception_ptr raised;
    PyThreadState* state = PyEval_SaveThread();
    try {
        body(&monitor);
    } catch (...) {
        raised = std::current_exception();
    }
    take_gil_or_sleep_forever([&] { PyEval_RestoreThread(state); });
    if (raised) std::rethrow_exception(raised);
}

}  // namespace hashcore::python
