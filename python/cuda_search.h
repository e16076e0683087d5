#pragma once
#include <pybind11/pybind11.h>

namespace hashcore::python {

void register_cuda_search(pybind11::module_& module);

}  // namespace hashcore::python
