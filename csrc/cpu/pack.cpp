#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "cpu/dispatch.h"
#include "hashcore/codes.h"
#include "hashcore/runtime.h"

namespace hashcore {
namespace {

constexpr int64_t values_a_chunk = 1 << 14;

/// Exact: every half is a float.
float to_float(Half half) {
    constexpr float scale = 0x1p112F;  // from the float's exponent bias to the half's
    const uint32_t magnitude = half.bits & 0x7FFFU;
    const uint32_t sign = static_cast<uint32_t>(half.bits & 0x8000U) << 16;
    const float finite = std::bit_cast<float>(magnitude << 13) * scale;
    const uint32_t special = 0x7F800000U | (magnitude << 13);
    return std::bit_cast<float>(sign |
                                (magnitude >= 0x7C00U ? special : std::bit_cast<uint32_t>(finite)));
}
float to_float(int8_t value) {
    return value;
}

/// The largest float not above `threshold`: a float exceeds one exactly if it exceeds the other.
float float_threshold(double threshold) {
    const auto nearest = static_cast<float>(threshold);
    const bool above = static_cast<double>(nearest) > threshold;
    return above ? std::nextafter(nearest, -std::numeric_limits<float>::infinity()) : nearest;
}

/// Packs rows of floats, or of what widens to them chunk by chunk.
template <class Scalar>
class FloatRows {
 public:
    explicit FloatRows(double threshold) : threshold_(float_threshold(threshold)) {}

    int64_t pack(const Scalar* values, int64_t count, int64_t bits, uint8_t* packed) {
        const size_t row =
            kernels().pack_f32(floats(values, count * bits), static_cast<size_t>(count),
                               static_cast<size_t>(bits), threshold_, packed);
        return static_cast<int64_t>(row) == count ? -1 : static_cast<int64_t>(row);
    }
    static bool is_nan(Scalar value) {
        if constexpr (std::is_same_v<Scalar, float>)
            return std::isnan(value);
        else
            return std::isnan(to_float(value));
    }

 private:
    const float* floats(const Scalar* values, int64_t count) {
        if constexpr (std::is_same_v<Scalar, float>) {
            return values;
        } else {
            widened_.resize(static_cast<size_t>(count));
            std::transform(values, values + count, widened_.begin(),
                           [](Scalar value) { return to_float(value); });
            return widened_.data();
        }
    }

    float threshold_;
    std::vector<float> widened_;
};

/// Doubles do not fit in floats; they are compared one by one.
class DoubleRows {
 public:
    explicit DoubleRows(double threshold) : threshold_(threshold) {}

    int64_t pack(const double* values, int64_t count, int64_t bits, uint8_t* packed) {
        for (int64_t row = 0; row < count; ++row, values += bits) {
            bool has_nan = false;
            for (int64_t first = 0; first < bits; first += 8) {
                unsigned byte = 0;
                for (int64_t bit = first; bit < std::min(first + 8, bits); ++bit) {
                    has_nan |= is_nan(values[bit]);
                    byte |= static_cast<unsigned>(values[bit] > threshold_) << (7 - bit % 8);
                }
                *packed++ = static_cast<uint8_t>(byte);
            }
            if (has_nan) return row;
        }
        return -1;
    }
    static bool is_nan(double value) { return std::isnan(value); }

 private:
    double threshold_;
};

}  // namespace

template <class Scalar>
int64_t pack(const Scalar* values, int64_t count, int64_t bits, double threshold, uint8_t* packed,
             Monitor* monitor) {
    using Rows = std::conditional_t<std::is_same_v<Scalar, double>, DoubleRows, FloatRows<Scalar>>;
    Rows rows(threshold);
    const int64_t step = std::max<int64_t>(1, values_a_chunk / bits);
    if (monitor != nullptr) monitor->begin(count);
    for (int64_t first = 0; first < count; first += step) {
        const int64_t taken = std::min(step, count - first);
        const Scalar* chunk = values + first * bits;
        const int64_t nan_row =
            rows.pack(chunk, taken, bits, packed + first * bytes_per_code(bits));
        if (nan_row >= 0) {
            const Scalar* row = chunk + nan_row * bits;
            return std::find_if(row, row + bits, Rows::is_nan) - values;
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
