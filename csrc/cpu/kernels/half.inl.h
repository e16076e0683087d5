// IEEE 754 halves without instructions of their own.
#pragma once
#include <cstdint>

namespace hashcore {
namespace {

/// Exact: every half is a float.
inline float half_to_float(uint16_t half) {
    constexpr float scale = 0x1p112F;  // from the float's exponent bias to the half's
    const uint32_t magnitude = half & 0x7FFFU;
    const uint32_t sign = static_cast<uint32_t>(half & 0x8000U) << 16;
    const float finite = __builtin_bit_cast(float, magnitude << 13) * scale;
    const uint32_t special = 0x7F800000U | (magnitude << 13);
    return __builtin_bit_cast(
        float, sign | (magnitude >= 0x7C00U ? special : __builtin_bit_cast(uint32_t, finite)));
}

}  // namespace
}  // namespace hashcore
