#pragma once
#include <bit>
#include <cstdint>
#include <vector>

#include "cpu/code_bitmap.h"
#include "hashcore/search.h"

namespace hashcore {

/// The codes that `filter` lets through. `ids` [count] ascend; null means that a position is its
/// own id.
CodeBitmap filter_bits(const Filter& filter, const int64_t* ids, int64_t count);

/// Throws std::invalid_argument unless a mask has an entry for each of `count` codes.
void check_mask_length(const Filter& filter, int64_t count);

/// The codes that may be hits, one bit a position.
class AllowedCodes {
 public:
    explicit AllowedCodes(CodeBitmap bits);

    int64_t total() const { return total_; }

    /// Codes in stretches of which at least one is allowed: what a scan by masks has to read.
    int64_t in_reach() const { return in_reach_; }

    /// A byte a block of eight codes; `begin` is a multiple of eight, as below.
    const uint8_t* block_masks(int64_t begin) const {
        return reinterpret_cast<const uint8_t*>(bits_.data()) + begin / 8;
    }

    bool contains(int64_t position) const { return bits_.test(position); }

    int64_t count_in(int64_t begin, int64_t count) const;

    /// The position of the allowed code that has `rank` allowed ones before it.
    int64_t code_of_rank(int64_t rank) const;

    /// Visits the positions of the allowed codes [rank, rank + count), in ascending order.
    template <class Visit>
    void for_each(int64_t rank, int64_t count, const Visit& visit) const {
        if (count == 0) return;
        const int64_t first = code_of_rank(rank);
        int64_t word = first / 64;
        uint64_t bits = bits_.data()[word] & (~uint64_t{0} << (first % 64));
        for (;; bits = bits_.data()[++word])
            for (; bits != 0; bits &= bits - 1) {
                visit(word * 64 + std::countr_zero(bits));
                if (--count == 0) return;
            }
    }

 private:
    static constexpr int64_t stretch_words = CodeBitmap::stretch_words;
    static constexpr int64_t stretch_codes = 64 * stretch_words;

    int64_t count_bits(int64_t begin, int64_t end) const;

    CodeBitmap bits_;
    std::vector<int64_t> before_;  // allowed codes before each stretch
    int64_t total_ = 0, in_reach_ = 0;
};

}  // namespace hashcore
