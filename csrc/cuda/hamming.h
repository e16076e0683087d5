// Differing bits of two codes, chunk by chunk.
#pragma once
#include <cstdint>

#include "core/anywhere.h"

namespace hashcore::cuda {

/// A chunk of a code: 8 or 16 bytes, read at once.
template <int words>
struct alignas(8 * words) Chunk {
    uint64_t of[words];
};

HASHCORE_ANYWHERE inline int ones_of(uint32_t word) {
#ifdef __CUDA_ARCH__
    return __popc(word);
#else
    return __builtin_popcount(word);
#endif
}

template <int words>
HASHCORE_ANYWHERE int differing_bits(const Chunk<words>& a, const Chunk<words>& b) {
    int sum = 0;
    for (int w = 0; w < words; ++w) {
        const uint64_t both = a.of[w] ^ b.of[w];
        sum += ones_of(static_cast<uint32_t>(both)) + ones_of(static_cast<uint32_t>(both >> 32));
    }
    return sum;
}

/// Differing bits of many chunks. Carry-save adders keep ones and twos as bits, so that four words
/// cost one count of bits: those are scarce on a GPU.
class BitSum {
 public:
    HASHCORE_ANYWHERE void add(const Chunk<2>& a, const Chunk<2>& b) {
        const uint64_t x = a.of[0] ^ b.of[0], y = a.of[1] ^ b.of[1];
        const uint32_t two_a =
            carry(ones_, static_cast<uint32_t>(x), static_cast<uint32_t>(x >> 32));
        const uint32_t two_b =
            carry(ones_, static_cast<uint32_t>(y), static_cast<uint32_t>(y >> 32));
        fours_ += ones_of(carry(twos_, two_a, two_b));
    }
    HASHCORE_ANYWHERE int total() const { return 4 * fours_ + 2 * ones_of(twos_) + ones_of(ones_); }

 private:
    /// Adds two words to `sum`, bit by bit; what is carried.
    HASHCORE_ANYWHERE static uint32_t carry(uint32_t& sum, uint32_t a, uint32_t b) {
        const uint32_t over = (sum & a) | (sum & b) | (a & b);
        sum = sum ^ a ^ b;
        return over;
    }

    uint32_t ones_ = 0, twos_ = 0;
    int fours_ = 0;
};

}  // namespace hashcore::cuda
