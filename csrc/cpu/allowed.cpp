#include "cpu/allowed.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

#include "cpu/dispatch.h"

namespace hashcore {

static_assert(std::endian::native == std::endian::little,
              "a byte of the bit map must hold the bits of one block");

void check_mask_length(const Filter& filter, int64_t count) {
    if (filter.kind == Filter::Kind::mask && filter.count != count)
        throw std::invalid_argument("filter: expected bool [" + std::to_string(count) +
                                    "], one a code; got bool [" + std::to_string(filter.count) +
                                    "].");
}

CodeBitmap filter_bits(const Filter& filter, const int64_t* ids, int64_t count) {
    check_mask_length(filter, count);
    CodeBitmap bits(count);
    if (filter.kind == Filter::Kind::mask) {
        kernels().nonzero_bits(filter.mask, static_cast<size_t>(count), bits.data());
        return bits;
    }
    const bool allow = filter.kind == Filter::Kind::allow;
    if (!allow) bits.set_all();
    for (const int64_t* id = filter.ids; id != filter.ids + filter.count; ++id) {
        int64_t position = *id;
        if (ids != nullptr) {
            const int64_t* found = std::lower_bound(ids, ids + count, *id);
            position = found != ids + count && *found == *id ? found - ids : -1;
        }
        if (position < 0 || position >= count) continue;
        if (allow)
            bits.set(position);
        else
            bits.reset(position);
    }
    return bits;
}

AllowedCodes::AllowedCodes(CodeBitmap bits) : bits_(std::move(bits)) {
    const uint64_t* words = bits_.data();
    before_.reserve(static_cast<size_t>(bits_.padded_words() / stretch_words));
    for (int64_t word = 0; word < bits_.padded_words(); word += stretch_words) {
        before_.push_back(total_);
        for (int64_t i = 0; i < stretch_words; ++i) total_ += std::popcount(words[word + i]);
        if (total_ > before_.back()) in_reach_ += stretch_codes;
    }
}

/// Whole stretches have been counted already.
int64_t AllowedCodes::count_in(int64_t begin, int64_t count) const {
    const int64_t end = begin + count;
    const int64_t first = (begin + stretch_codes - 1) / stretch_codes;
    const int64_t last = end / stretch_codes;
    if (first >= last) return count_bits(begin, end);
    return count_bits(begin, first * stretch_codes) + before_[static_cast<size_t>(last)] -
           before_[static_cast<size_t>(first)] + count_bits(last * stretch_codes, end);
}

int64_t AllowedCodes::count_bits(int64_t begin, int64_t end) const {
    int64_t found = 0;
    for (; begin < end; begin += 64) {
        uint64_t word;
        std::memcpy(&word, block_masks(begin), sizeof word);
        found +=
            std::popcount(end - begin < 64 ? word & ((uint64_t{1} << (end - begin)) - 1) : word);
    }
    return found;
}

int64_t AllowedCodes::code_of_rank(int64_t rank) const {
    const auto past = std::upper_bound(before_.begin(), before_.end(), rank);
    const int64_t stretch = past - before_.begin() - 1;
    int64_t left = rank - before_[static_cast<size_t>(stretch)];
    for (int64_t word = stretch * stretch_words;; ++word) {
        uint64_t bits = bits_.data()[word];
        if (const int64_t here = std::popcount(bits); left >= here) {
            left -= here;
            continue;
        }
        for (; left > 0; --left) bits &= bits - 1;
        return word * 64 + std::countr_zero(bits);
    }
}

}  // namespace hashcore
