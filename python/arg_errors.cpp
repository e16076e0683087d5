#include "arg_errors.h"

#include <pybind11/numpy.h>

namespace hashcore::python {

void fail_type(const char* name, const std::string& expected, py::handle got,
               const std::string& hint) {
    throw py::type_error(std::string(name) + ": expected " + expected + "; got " + describe(got) +
                         "." + hint);
}

void fail_value(const char* name, const std::string& expected, const std::string& got) {
    throw py::value_error(std::string(name) + ": expected " + expected + "; got " + got + ".");
}

std::string describe(py::handle object) {
    if (!py::isinstance<py::array>(object)) return py::str(py::type::of(object).attr("__name__"));
    const auto array = py::reinterpret_borrow<py::array>(object);
    std::string text = py::str(array.dtype());
    text += " [";
    for (py::ssize_t i = 0; i < array.ndim(); ++i)
        text += (i == 0 ? "" : ", ") + std::to_string(array.shape(i));
    return text + "]";
}

}  // namespace hashcore::python
