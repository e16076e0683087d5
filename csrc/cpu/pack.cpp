#include <algorithm>
#include <cmath>
#include <limits>

#include "cpu/dispatch.h"
#include "cpu/kernels/half.inl.h"
#include "hashcore/codes.h"
#include "hashcore/runtime.h"

namespace hashcore {
namespace {

constexpr int64_t values_a_chunk = 1 << 14;

/// The largest float not above `threshold`: a float exceeds one exactly if it exceeds the other.
float float_threshold(double threshold) {
    const auto nearest = static_cast<float>(threshold);
    const bool above = static_cast<double>(nearest) > threshold;
    return above ? std::nextafter(nearest, -std::numeric_limits<float>::infinity()) : nearest;
}

/// The value of the half with the given place in the order of halves, as the kernels have it.
double half_at(int order) {
    return half_to_float(static_cast<uint16_t>(order < 0 ? order ^ 0x7FFF : order));
}

/// The place of the largest half not above `threshold`.
int16_t half_threshold(double threshold) {
    int low = ~0x7C00;  // of minus infinity
    int high = 0x7C00;
    while (low < high) {
        const int middle = low + (high - low + 1) / 2;
        if (half_at(middle) <= threshold)
            low = middle;
        else
            high = middle - 1;
    }
    return static_cast<int16_t>(low);
}

size_t pack_rows(const float* values, size_t rows, size_t bits, double threshold, uint8_t* out) {
    return kernels().pack_f32(values, rows, bits, float_threshold(threshold), out);
}
size_t pack_rows(const double* values, size_t rows, size_t bits, double threshold, uint8_t* out) {
    return kernels().pack_f64(values, rows, bits, threshold, out);
}
size_t pack_rows(const Half* values, size_t rows, size_t bits, double threshold, uint8_t* out) {
    static_assert(sizeof(Half) == sizeof(int16_t));
    return kernels().pack_f16(reinterpret_cast<const int16_t*>(values), rows, bits,
                              half_threshold(threshold), out);
}
size_t pack_rows(const int8_t* values, size_t rows, size_t bits, double threshold, uint8_t* out) {
    const double whole = std::clamp(std::floor(threshold), -2.0, 1.0);
    return kernels().pack_i8(values, rows, bits, static_cast<int8_t>(whole), out);
}

template <class Scalar>
bool is_nan(Scalar value) {
    return std::isnan(value);
}
bool is_nan(Half value) {
    return (value.bits & 0x7FFFU) > 0x7C00U;
}
bool is_nan(int8_t) {
    return false;
}

}  // namespace

template <class Scalar>
int64_t pack(const Scalar* values, int64_t count, int64_t bits, double threshold, uint8_t* packed,
             Monitor* monitor) {
    const int64_t step = std::max<int64_t>(1, values_a_chunk / bits);
    if (monitor != nullptr) monitor->begin(count);
    for (int64_t first = 0; first < count; first += step) {
        const int64_t taken = std::min(step, count - first);
        const Scalar* chunk = values + first * bits;
        const auto whole = static_cast<int64_t>(pack_rows(chunk, static_cast<size_t>(taken),
                                                          static_cast<size_t>(bits), threshold,
                                                          packed + first * bytes_per_code(bits)));
        if (whole < taken) {
            const Scalar* row = chunk + whole * bits;
            return std::find_if(row, row + bits, [](Scalar value) { return is_nan(value); }) -
                   values;
        }
        if (monitor != nullptr) monitor->advance(taken);
    }
    if (monitor != nullptr) monitor->finish();
    return -1;
}

template int64_t pack(const float*, int64_t, int64_t, double, uint8_t*, Monitor*);
template int64_t pack(const double*, int64_t, int64_t, double, uint8_t*, Monitor*);
template int64_t pack(const int8_t*, int64_t, int64_t, double, uint8_t*, Monitor*);
template int64_t pack(const Half*, int64_t, int64_t, double, uint8_t*, Monitor*);

}  // namespace hashcore
