#pragma once
#include <pybind11/pybind11.h>

namespace hashcore::python {

void register_runtime(pybind11::module_& module);
void register_codes(pybind11::module_& module);
void register_search(pybind11::module_& module);
void register_index(pybind11::module_& module);
void register_metrics(pybind11::module_& module);
void register_ops(pybind11::module_& module);
void register_rescore(pybind11::module_& module);

}  // namespace hashcore::python
