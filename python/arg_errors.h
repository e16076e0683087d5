// What is said of an argument that does not fit.
#pragma once
#include <pybind11/pybind11.h>

#include <string>

namespace hashcore::python {

namespace py = pybind11;

/// "float32 [10, 64]", or the type's name for what is no array.
std::string describe(py::handle object);

/// Raise "name: expected ...; got ...", as TypeError with the object that came and a hint, or as
/// ValueError with what came in words.
[[noreturn]] void fail_type(const char* name, const std::string& expected, py::handle got,
                            const std::string& hint = "");
[[noreturn]] void fail_value(const char* name, const std::string& expected, const std::string& got);

}  // namespace hashcore::python
