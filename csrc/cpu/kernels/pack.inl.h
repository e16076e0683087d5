// Comparison bits of rows of numbers, 64 at a time, on the primitives of a level.
//
// A level offers greater64(values, threshold, has_nan) for each type below: bit i of the result is
// values[i] > threshold, and has_nan turns true at a NaN; and nonzero64(bytes).
#pragma once
#include <cstddef>
#include <cstdint>

namespace hashcore {
namespace {

/// Bit i of a byte becomes bit 7 - i: comparisons number lanes from the low bit, codes from the
/// high.
constexpr uint64_t reverse_bits_in_bytes(uint64_t x) {
    x = ((x >> 1) & 0x5555555555555555U) | ((x & 0x5555555555555555U) << 1);
    x = ((x >> 2) & 0x3333333333333333U) | ((x & 0x3333333333333333U) << 2);
    return ((x >> 4) & 0x0F0F0F0F0F0F0F0FU) | ((x & 0x0F0F0F0F0F0F0F0FU) << 4);
}

/// An IEEE 754 half as an integer: half_order() of it compares as the halves do.
using HalfBits = int16_t;

constexpr int16_t half_order(HalfBits half) {
    return static_cast<int16_t>(half < 0 ? half ^ 0x7FFF : half);
}

constexpr bool exceeds(HalfBits value, int16_t threshold_order) {
    return half_order(value) > threshold_order;
}
constexpr bool is_nan(HalfBits half) {
    return (half & 0x7FFF) > 0x7C00;
}
template <class T>
constexpr bool exceeds(T value, T threshold) {
    return value > threshold;
}
template <class T>
constexpr bool is_nan(T value) {
    return value != value;
}

template <class T>
uint64_t greater_by_lane(const T* values, T threshold, bool& has_nan) {
    uint64_t mask = 0;
    bool nan = false;
    for (size_t i = 0; i < 64; ++i) {
        mask |= static_cast<uint64_t>(exceeds(values[i], threshold)) << i;
        nan |= is_nan(values[i]);
    }
    has_nan |= nan;
    return mask;
}

inline void store_bytes(uint8_t* to, uint64_t word, size_t count) {
    for (size_t i = 0; i < count; ++i) to[i] = static_cast<uint8_t>(word >> (8 * i));
}

inline constexpr size_t bytes_ahead = 4096;  // past the page where hardware prefetchers stop
/// Whether each of 64 bytes is not zero, from 8-byte words: where there is no comparison for it.
inline uint64_t nonzero_by_word(const uint8_t* values) {
    uint64_t mask = 0;
    for (size_t i = 0; i < 8; ++i) {
        uint64_t word;
        __builtin_memcpy(&word, values + 8 * i, sizeof word);
        word |= word >> 4;
        word |= word >> 2;
        word |= word >> 1;
        word &= 0x0101010101010101U;
        mask |= (word * 0x0102040810204080U) >> 56 << (8 * i);  // byte j's lowest bit to bit j
    }
    return mask;
}

template <class V>
void nonzero_bits(const uint8_t* values, size_t count, uint64_t* bits) {
    for (; count >= 64; count -= 64, values += 64) {
        __builtin_prefetch(values + bytes_ahead);
        *bits++ = V::nonzero64(values);
    }
    uint64_t rest = 0;
    for (size_t i = 0; i < count; ++i) rest |= uint64_t{values[i] != 0} << i;
    *bits = rest;
}

/// Packs rows [row_count, bits]; returns the first row with a NaN, or row_count.
template <class V, class T>
size_t pack_rows(const T* values, size_t row_count, size_t bits, T threshold, uint8_t* packed) {
    constexpr size_t values_per_line = 64 / sizeof(T);
    constexpr size_t values_ahead = bytes_ahead / sizeof(T);
    const size_t bytes = (bits + 7) / 8;
    for (size_t row = 0; row < row_count; ++row, values += bits, packed += bytes) {
        bool has_nan = false;
        size_t bit = 0;
        for (; bit + 64 <= bits; bit += 64) {
            for (size_t i = 0; i < 64; i += values_per_line)
                __builtin_prefetch(values + bit + values_ahead + i);
            const uint64_t mask = V::greater64(values + bit, threshold, has_nan);
            store_bytes(packed + bit / 8, reverse_bits_in_bytes(mask), 8);
        }
        if (const size_t left = bits - bit; left != 0) {
            T rest[64] = {};
            __builtin_memcpy(rest, values + bit, left * sizeof(T));
            const uint64_t mask =
                V::greater64(rest, threshold, has_nan) & ((uint64_t{1} << left) - 1);
            store_bytes(packed + bit / 8, reverse_bits_in_bytes(mask), bytes - bit / 8);
        }
        if (has_nan) return row;
    }
    return row_count;
}

}  // namespace
}  // namespace hashcore
