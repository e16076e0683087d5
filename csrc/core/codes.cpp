#include "hashcore/codes.h"

#include <algorithm>

namespace hashcore {

void unpack(CodesView codes, bool is_signed, int8_t* values) {
    const int64_t bytes = bytes_per_code(codes.bits);
    const int zero = is_signed ? -1 : 0;
    for (int64_t row = 0; row < codes.count; ++row)
        for (int64_t bit = 0; bit < codes.bits; ++bit) {
            const bool set = ((codes.data[row * bytes + bit / 8] >> (7 - bit % 8)) & 1) != 0;
            values[row * codes.bits + bit] = static_cast<int8_t>(set ? 1 : zero);
        }
}

int64_t find_wide_sign(const int8_t* values, int64_t count) {
    const auto is_wide = [](int8_t value) { return value < -1 || value > 1; };
    constexpr int64_t chunk = 4096;  // without an early exit the compiler takes 16 values at once
    for (int64_t first = 0; first < count; first += chunk) {
        const int64_t last = std::min(count, first + chunk);
        uint8_t found = 0;
        for (int64_t i = first; i < last; ++i)
            found = static_cast<uint8_t>(found | (is_wide(values[i]) ? 1 : 0));
        if (found != 0) return std::find_if(values + first, values + last, is_wide) - values;
    }
    return -1;
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
