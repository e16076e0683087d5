// Words of fewer than eight bytes that lie one after the other.
#pragma once
#include <cstddef>
#include <cstdint>

namespace hashcore {
namespace {

inline uint64_t load_word(const uint8_t* from) {
    uint64_t word;
    __builtin_memcpy(&word, from, sizeof word);
    return word;
}

/// Where a byte shuffle of 16 bytes finds two words of `bytes` (1..8) bytes each; what it clears is
/// marked by 0x80.
inline void pair_order(size_t bytes, uint8_t* order) {
    for (size_t i = 0; i < 16; ++i) {
        const size_t byte = i % 8;
        order[i] = byte < bytes ? static_cast<uint8_t>(i / 8 * bytes + byte) : uint8_t{0x80};
    }
}

}  // namespace
}  // namespace hashcore
