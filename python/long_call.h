#pragma once
#include <pybind11/pybind11.h>

#include <memory>

#include "hashcore/errors.h"
#include "hashcore/runtime.h"

namespace hashcore::python {

namespace py = pybind11;

/// Runs body(Monitor*) with the GIL released. Ctrl-C, or an exception of `progress` (None, or a
/// callable that takes done and total), stops it and is raised.
template <class Body>
void run_long_call(const py::object& progress, const Body& body) {
    std::unique_ptr<py::error_already_set> raised;
    Monitor monitor([&](int64_t done, int64_t total) {
        const py::gil_scoped_acquire gil;
        try {
            if (PyErr_CheckSignals() != 0) throw py::error_already_set();
            if (!progress.is_none()) progress(done, total);
            return true;
        } catch (py::error_already_set& error) {
            raised = std::make_unique<py::error_already_set>(std::move(error));
            return false;
        }
    });
    try {
        const py::gil_scoped_release released;
        body(&monitor);
    } catch (const Cancelled&) {
        throw py::error_already_set(std::move(*raised));
    }
    if (!progress.is_none()) progress(monitor.total(), monitor.total());
}

}  // namespace hashcore::python
