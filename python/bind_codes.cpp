#include <cmath>

#include "array_args.h"
#include "bindings.h"
#include "hashcore/codes.h"
#include "long_call.h"

namespace hashcore::python {
namespace {

constexpr const char* pack_expected = "float16, float32, float64, bool or int8 [n, bits]";

void refuse_wide_int8(const int8_t* values, int64_t size) {
    int64_t wide_at = -1;
    {
        const ReleasedGil released;
        wide_at = find_wide_sign(values, size);
    }
    if (wide_at >= 0)
        throw py::value_error("x: expected int8 values -1, 0 or 1; got " +
                              std::to_string(values[wide_at]) +
                              ". Packed int8 from an embedding API: use hashcore.convert().");
}

/// The first NaN's flat index, or -1.
template <class Scalar>
int64_t pack_values(const py::array& x, int64_t rows, int64_t bits, double threshold,
                    uint8_t* packed) {
    const auto* values = static_cast<const Scalar*>(x.data());
    int64_t nan_at = -1;
    run_long_call(py::none(), [&](Monitor* monitor) {
        nan_at = pack(values, rows, bits, threshold, packed, monitor);
    });
    return nan_at;
}

int64_t pack_any(const py::array& x, int64_t rows, int64_t bits, double threshold,
                 uint8_t* packed) {
    const char kind = x.dtype().kind();
    const auto size = x.itemsize();
    if (kind == 'i' && size == 1)
        refuse_wide_int8(static_cast<const int8_t*>(x.data()), rows * bits);
    if (kind == 'b' || (kind == 'i' && size == 1))
        return pack_values<int8_t>(x, rows, bits, threshold, packed);
    if (kind == 'f' && size == 2) return pack_values<Half>(x, rows, bits, threshold, packed);
    if (kind == 'f' && size == 4) return pack_values<float>(x, rows, bits, threshold, packed);
    if (kind == 'f' && size == 8) return pack_values<double>(x, rows, bits, threshold, packed);
    throw py::type_error(std::string("x: expected ") + pack_expected + "; got " + describe(x) +
                         ". Codes that are packed already: use hashcore.convert().");
}

py::array_t<uint8_t> pack_array(py::handle object, py::handle threshold_object) {
    const double threshold = PyFloat_AsDouble(threshold_object.ptr());
    if (PyErr_Occurred() != nullptr) {
        PyErr_Clear();
        throw py::type_error("threshold: expected a number; got " + describe(threshold_object) +
                             ".");
    }
    if (std::isnan(threshold)) throw py::value_error("threshold: expected a number; got NaN.");
    const py::array x = contiguous_array(object, "x", pack_expected, 1, 2);
    const bool one_row = x.ndim() == 1;
    const int64_t rows = one_row ? 1 : x.shape(0);
    const int64_t bits = x.shape(one_row ? 0 : 1);
    if (bits < 1 || bits > max_bits)
        throw py::value_error("x: expected 1..65536 bits a row; got " + describe(x) + ".");
    auto packed = one_row ? new_array<uint8_t>({bytes_per_code(bits)})
                          : new_array<uint8_t>({rows, bytes_per_code(bits)});
    const int64_t nan_at = pack_any(x, rows, bits, threshold, packed.mutable_data());
    if (nan_at >= 0)
        throw py::value_error("x: row " + std::to_string(nan_at / bits) + ", column " +
                              std::to_string(nan_at % bits) +
                              " is NaN, which has no sign. Remove or replace NaN first.");
    return packed;
}

py::array_t<int8_t> unpack_array(py::handle object, py::handle bits_object, bool is_signed) {
    const int64_t bits = int_arg(bits_object, "bits", 1, max_bits);
    const CodesArg codes = codes_arg(object, "codes", "n", bits);
    auto values = codes.array.ndim() == 1 ? new_array<int8_t>({bits})
                                          : new_array<int8_t>({codes.view.count, bits});
    int8_t* out = values.mutable_data();
    {
        const ReleasedGil released;
        unpack(codes.view, is_signed, out);
    }
    return values;
}

}  // namespace

void register_codes(py::module_& module) {
    module.def("pack", &pack_array, py::arg("x"), py::arg("threshold"));
    module.def("unpack", &unpack_array, py::arg("codes"), py::arg("bits"), py::arg("signed"));
}

}  // namespace hashcore::python
