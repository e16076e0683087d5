// The one validator of what Python passes in. Errors say what was expected, what came, and what to
// call instead.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "arg_errors.h"
#include "hashcore/codes.h"
#include "hashcore/rescore.h"
#include "hashcore/search.h"

namespace hashcore::python {

namespace py = pybind11;

inline constexpr const char* code_hint =
    " Floats: use hashcore.pack(); int8 from an embedding API: use hashcore.convert().";

/// A C-contiguous array of native byte order with one of the shapes allowed; `expected` is what
/// the error says, such as "int64 [n]".
py::array contiguous_array(py::handle object, const char* name, const std::string& expected,
                           int min_dims, int max_dims);

/// Codes as the engine reads them; `array` keeps the memory alive.
struct CodesArg {
    py::array array;
    CodesView view;
};

/// uint8 [rows, bytes]; a 1-D array is one row. `rows` is the letter the error shows. Without
/// `bits` any width is taken, as whole bytes. Pad bits must be zero.
CodesArg codes_arg(py::handle object, const char* name, const char* rows,
                   std::optional<int64_t> bits = std::nullopt);

/// As codes_arg(), of any width and never a single row.
CodesArg database_arg(py::handle object, const char* name, const char* rows);

/// A matrix as the engine reads it; `array` keeps the memory alive.
struct MatrixArg {
    py::array array;
    MatrixView view;
};

/// [rows, D] of one of `elements`, of which Element::bit are codes of D bits; `rows` is the letter
/// the error shows. `dims` fixes D, as it must for codes. A 1-D array is one row where `min_dims`
/// is 1. Rows are not read: neither NaN nor pad bits are looked for.
MatrixArg matrix_arg(py::handle object, const char* name, const char* rows, int min_dims,
                     std::initializer_list<Element> elements, std::optional<int64_t> dims,
                     const std::string& hint);

/// None, or (kind, array) as hashcore.search.Filter hands it on. The engine checks that a mask has
/// one entry a code.
class FilterArg {
 public:
    explicit FilterArg(py::handle object);
    const Filter* get() const { return filter_ ? &*filter_ : nullptr; }

 private:
    py::array values_;
    std::optional<Filter> filter_;
};

/// int64 [n]; `count` fixes n.
py::array_t<int64_t> ids_arg(py::handle object, const char* name,
                             std::optional<int64_t> count = std::nullopt);

/// An integer in [low, high]; bool is refused.
int64_t int_arg(py::handle object, const char* name, int64_t low,
                int64_t high = std::numeric_limits<int64_t>::max());

/// None stays empty.
std::optional<int64_t> optional_int_arg(py::handle object, const char* name, int64_t low);

/// None is 0, "the default".
int threads_arg(py::handle object);

template <class T>
py::array_t<T> new_array(std::vector<py::ssize_t> shape) {
    return py::array_t<T>(std::move(shape));
}

/// Hands a vector's memory to NumPy without a copy.
template <class T>
py::array_t<T> adopt(std::vector<T>&& values) {
    auto* owner = new std::vector<T>(std::move(values));
    py::capsule free(owner, [](void* vector) { delete static_cast<std::vector<T>*>(vector); });
    return py::array_t<T>(static_cast<py::ssize_t>(owner->size()), owner->data(), free);
}

}  // namespace hashcore::python
