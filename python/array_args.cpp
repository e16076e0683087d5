#include "array_args.h"

#include <algorithm>

namespace hashcore::python {
namespace {

const char* dtype_name(Element element) {
    switch (element) {
        case Element::f32:
            return "float32";
        case Element::f16:
            return "float16";
        case Element::i8:
            return "int8";
        case Element::bit:
            return "uint8";
    }
    return "";
}

std::string dtype_names(std::initializer_list<Element> elements) {
    std::string names;
    for (const Element* element = elements.begin(); element != elements.end(); ++element) {
        if (element != elements.begin()) names += element + 1 == elements.end() ? " or " : ", ";
        names += dtype_name(*element);
    }
    return names;
}

}  // namespace

py::array contiguous_array(py::handle object, const char* name, const std::string& expected,
                           int min_dims, int max_dims) {
    if (!py::isinstance<py::array>(object))
        fail_type(name, expected + " (a NumPy array or a CPU torch tensor)", object);
    auto array = py::reinterpret_borrow<py::array>(object);
    const char order = array.dtype().byteorder();
    if (order != '=' && order != '|')
        fail_value(name, expected + " in native byte order", describe(array));
    if ((array.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_) == 0)
        fail_value(name, expected + " in aligned memory", describe(array) + " at an odd address");
    if (array.ndim() < min_dims || array.ndim() > max_dims)
        fail_value(name, expected, describe(array));
    if ((array.flags() & py::array::c_style) == 0)
        throw py::value_error(std::string(name) + ": expected " + expected +
                              ", C-contiguous; got " + describe(array) +
                              " with other strides. Use numpy.ascontiguousarray().");
    return array;
}

CodesArg codes_arg(py::handle object, const char* name, const char* rows,
                   std::optional<int64_t> bits) {
    const std::string width = bits ? std::to_string(bytes_per_code(*bits)) : "bytes";
    const std::string expected = "uint8 [" + std::string(rows) + ", " + width + "], C-contiguous";
    if (!py::isinstance<py::array>(object)) fail_type(name, expected, object, code_hint);
    const auto given = py::reinterpret_borrow<py::array>(object);
    if (given.dtype().kind() != 'u' || given.itemsize() != 1)
        fail_type(name, expected, object, code_hint);
    py::array array =
        contiguous_array(object, name, "uint8 [" + std::string(rows) + ", " + width + "]", 1, 2);
    const bool one_row = array.ndim() == 1;
    const int64_t bytes = array.shape(one_row ? 0 : 1);
    if (bits ? bytes != bytes_per_code(*bits) : bytes < 1 || bytes > bytes_per_code(max_bits))
        fail_value(name, bits ? expected : expected + " with 1..8192 bytes", describe(array));
    const CodesView view{static_cast<const uint8_t*>(array.data()), one_row ? 1 : array.shape(0),
                         bits.value_or(bytes * 8)};
    const int64_t violation = find_pad_violation(view);
    if (violation >= 0)
        throw py::value_error(std::string(name) + ": row " + std::to_string(violation) +
                              " has bits set past bit " + std::to_string(view.bits - 1) +
                              "; the pad bits of the last byte must be zero. "
                              "hashcore.pack() writes them so.");
    return {std::move(array), view};
}

CodesArg database_arg(py::handle object, const char* name, const char* rows) {
    CodesArg codes = codes_arg(object, name, rows);
    if (codes.array.ndim() == 1)
        fail_value(name, "uint8 [" + std::string(rows) + ", bytes], C-contiguous",
                   describe(codes.array));
    return codes;
}

MatrixArg matrix_arg(py::handle object, const char* name, const char* rows, int min_dims,
                     std::initializer_list<Element> elements, std::optional<int64_t> dims,
                     const std::string& hint) {
    const bool is_codes = *elements.begin() == Element::bit;
    std::string width = "D";
    if (dims) width = std::to_string(is_codes ? bytes_per_code(*dims) : *dims);
    const std::string expected = dtype_names(elements) + " [" + rows + ", " + width + "]";
    py::array array = contiguous_array(object, name, expected, min_dims, 2);
    const std::string dtype = py::str(array.dtype());
    const auto* element = std::find_if(elements.begin(), elements.end(),
                                       [&](Element e) { return dtype == dtype_name(e); });
    if (element == elements.end()) fail_type(name, expected, object, hint);
    const bool one_row = array.ndim() == 1;
    const int64_t columns = array.shape(one_row ? 0 : 1);
    if (!dims && (columns < 1 || columns > max_dims))
        fail_value(name, expected + " with D in 1.." + std::to_string(max_dims), describe(array));
    if (dims && std::to_string(columns) != width) fail_value(name, expected, describe(array));
    const MatrixView view{array.data(), *element, one_row ? 1 : array.shape(0),
                          dims.value_or(columns)};
    return {std::move(array), view};
}

FilterArg::FilterArg(py::handle object) {
    if (object.is_none()) return;
    const auto pair = py::cast<py::tuple>(object);
    const auto kind = py::cast<std::string>(pair[0]);
    if (kind == "mask") {
        values_ = contiguous_array(pair[1], "filter", "bool [N], one a code", 1, 1);
        if (values_.dtype().kind() != 'b') fail_type("filter", "bool [N], one a code", values_);
        filter_ = Filter{Filter::Kind::mask, nullptr, static_cast<const uint8_t*>(values_.data()),
                         values_.shape(0)};
        return;
    }
    values_ = ids_arg(pair[1], "filter");
    filter_ = Filter{kind == "allow" ? Filter::Kind::allow : Filter::Kind::deny,
                     static_cast<const int64_t*>(values_.data()), nullptr, values_.shape(0)};
}

py::array_t<int64_t> ids_arg(py::handle object, const char* name, std::optional<int64_t> count) {
    const std::string expected = "int64 [" + (count ? std::to_string(*count) : "n") + "]";
    py::array array = contiguous_array(object, name, expected, 1, 1);
    if (!py::isinstance<py::array_t<int64_t>>(array)) fail_type(name, expected, object);
    if (count && array.shape(0) != *count) fail_value(name, expected, describe(array));
    return py::reinterpret_borrow<py::array_t<int64_t>>(array);
}

int64_t int_arg(py::handle object, const char* name, int64_t low, int64_t high) {
    const bool is_index = PyIndex_Check(object.ptr()) != 0 && !py::isinstance<py::bool_>(object);
    if (!is_index) fail_type(name, "an integer", object);
    const auto index = py::reinterpret_steal<py::int_>(PyNumber_Index(object.ptr()));
    if (!index) throw py::error_already_set();
    int overflow = 0;
    const long long value = PyLong_AsLongLongAndOverflow(index.ptr(), &overflow);
    if (overflow != 0 || value < low || value > high) {
        const std::string range = high == std::numeric_limits<int64_t>::max()
                                      ? ">= " + std::to_string(low)
                                      : std::to_string(low) + ".." + std::to_string(high);
        fail_value(name, range, py::str(index));
    }
    return value;
}

std::optional<int64_t> optional_int_arg(py::handle object, const char* name, int64_t low) {
    if (object.is_none()) return std::nullopt;
    return int_arg(object, name, low);
}

int threads_arg(py::handle object) {
    return object.is_none() ? 0 : static_cast<int>(int_arg(object, "threads", 1, 4096));
}

}  // namespace hashcore::python
