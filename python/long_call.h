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

/// Without the GIL while it lives. py::gil_scoped_release would end the process where the
/// interpreter ends first.
class ReleasedGil {
 public:
    ReleasedGil() : state_(PyEval_SaveThread()) {}
    ~ReleasedGil() {
        take_gil_or_sleep_forever([this] { PyEval_RestoreThread(state_); });
    }
    ReleasedGil(const ReleasedGil&) = delete;
    ReleasedGil& operator=(const ReleasedGil&) = delete;

 private:
    PyThreadState* state_;
};

/// Calls progress(done, total) with nothing to destroy on the way out: where the interpreter ends
/// inside the callback, its frames are unwound without the GIL.
inline void report(const py::object& progress, int64_t done, int64_t total) {
    PyObject* result = PyObject_CallFunction(progress.ptr(), "LL", static_cast<long long>(done),
                                             static_cast<long long>(total));
    if (result == nullptr) throw py::error_already_set();
    Py_DECREF(result);
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
                if (reports && total > 0) report(progress, done, total);
            } catch (abi::__forced_unwind&) {  // the interpreter ended inside the callback
                for (;;) pause();
            } catch (...) {
                raised = std::current_exception();
            }
            PyGILState_Release(gil);
            if (raised) std::rethrow_exception(raised);
            return true;
        },
        reports);
    const ReleasedGil released;
    body(&monitor);
}

}  // namespace hashcore::python
