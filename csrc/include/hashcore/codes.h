#pragma once
#include <cstdint>

namespace hashcore {

class Monitor;

inline constexpr int64_t max_bits = 65'536;

constexpr int64_t bytes_per_code(int64_t bits) {
    return (bits + 7) / 8;
}
constexpr int64_t words_per_code(int64_t bits) {
    return (bits + 63) / 64;
}

/// Packed codes in the caller's memory: `count` rows of bytes_per_code(bits) bytes, C-contiguous.
/// Bit i of a code is `0x80 >> (i % 8)` of byte `i / 8`; bits past the width are zero.
struct CodesView {
    const uint8_t* data;
    int64_t count;
    int64_t bits;
};

/// Writes 1 where `value > threshold`, most significant bit first, pad bits zero. Values of int8_t
/// are signs: -1, 0 or +1; find_wide_sign() finds others.
/// `values` is [count, bits], `packed` is [count, bytes_per_code(bits)];
/// `monitor` may be null. Returns the flat index of the first NaN, or -1.
template <class Scalar>
int64_t pack(const Scalar* values, int64_t count, int64_t bits, double threshold, uint8_t* packed,
             Monitor* monitor);

/// An IEEE 754 half, for pack().
struct Half {
    uint16_t bits;
};

/// Writes {0, 1}, or {-1, +1} when `is_signed`; `values` is [codes.count, codes.bits].
void unpack(CodesView codes, bool is_signed, int8_t* values);

/// Index of the first value outside {-1, 0, +1}, or -1.
int64_t find_wide_sign(const int8_t* values, int64_t count);

/// Row of the first code with a bit set past its width, or -1.
int64_t find_pad_violation(CodesView codes);

}  // namespace hashcore
