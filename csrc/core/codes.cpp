#include "hashcore/codes.h"

#include <bit>
#include <cmath>
#include <limits>

namespace hashcore {
namespace {

/// Exact: every half is a float.
float half_to_float(uint16_t half) {
    const uint32_t sign = static_cast<uint32_t>(half & 0x8000U) << 16;
    const uint32_t exponent = (half >> 10) & 0x1FU;
    const uint32_t fraction = half & 0x3FFU;
    if (exponent == 0) {
        const float magnitude = std::ldexp(static_cast<float>(fraction), -24);
        return sign != 0 ? -magnitude : magnitude;
    }
    const uint32_t wide_exponent = exponent == 0x1FU ? 0xFFU : exponent + 112U;
    return std::bit_cast<float>(sign | (wide_exponent << 23) | (fraction << 13));
}

template <class Load>
int64_t pack_rows(int64_t count, int64_t bits, double threshold, uint8_t* packed,
                  const Load& load) {
    const int64_t bytes = bytes_per_code(bits);
    for (int64_t row = 0; row < count; ++row) {
        for (int64_t byte = 0; byte < bytes; ++byte) {
            const int64_t first = byte * 8;
            const int64_t last = first + 8 < bits ? first + 8 : bits;
            unsigned value = 0;
            bool has_nan = false;
            for (int64_t bit = first; bit < last; ++bit) {
                const double x = load(row * bits + bit);
                has_nan |= x != x;
                value |= static_cast<unsigned>(x > threshold) << (7 - (bit - first));
            }
            if (has_nan)
                for (int64_t bit = first;; ++bit)
                    if (std::isnan(load(row * bits + bit))) return row * bits + bit;
            packed[row * bytes + byte] = static_cast<uint8_t>(value);
        }
    }
    return -1;
}

}  // namespace

template <class Scalar>
int64_t pack(const Scalar* values, int64_t count, int64_t bits, double threshold, uint8_t* packed) {
    return pack_rows(count, bits, threshold, packed,
                     [values](int64_t i) { return static_cast<double>(values[i]); });
}

template int64_t pack(const float*, int64_t, int64_t, double, uint8_t*);
template int64_t pack(const double*, int64_t, int64_t, double, uint8_t*);
template int64_t pack(const int8_t*, int64_t, int64_t, double, uint8_t*);

int64_t pack_half(const uint16_t* values, int64_t count, int64_t bits, double threshold,
                  uint8_t* packed) {
    return pack_rows(count, bits, threshold, packed,
                     [values](int64_t i) { return static_cast<double>(half_to_float(values[i])); });
}

void unpack(CodesView codes, bool is_signed, int8_t* values) {
    const int64_t bytes = bytes_per_code(codes.bits);
    const int zero = is_signed ? -1 : 0;
    for (int64_t row = 0; row < codes.count; ++row)
        for (int64_t bit = 0; bit < codes.bits; ++bit) {
            const bool set = ((codes.data[row * bytes + bit / 8] >> (7 - bit % 8)) & 1) != 0;
            values[row * codes.bits + bit] = static_cast<int8_t>(set ? 1 : zero);
        }
}

int64_t find_pad_violation(CodesView codes) {
    const int64_t used = codes.bits % 8;
    if (used == 0) return -1;
    const int64_t bytes = bytes_per_code(codes.bits);
    const unsigned pad = 0xFFU >> used;
    for (int64_t row = 0; row < codes.count; ++row)
        if ((codes.data[row * bytes + bytes - 1] & pad) != 0) return row;
    return -1;
}

}  // namespace hashcore
