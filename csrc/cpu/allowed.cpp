#include "cpu/allowed.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "cpu/dispatch.h"

namespace hashcore {

static_assert(std::endian::native == std::endian::little,
              "a byte of the bit map must hold the bits of one block");

AllowedCodes::AllowedCodes(const Filter& filter, const int64_t* ids, int64_t count)
    : words_(static_cast<size_t>((count / (64 * stretch_words) + 2) * stretch_words)) {
    if (filter.kind == Filter::Kind::mask) {
        if (filter.count != count)
            throw std::invalid_argument("filter: expected bool [" + std::to_string(count) +
                                        "], one a code; got bool [" + std::to_string(filter.count) +
                                        "].");
        kernels().nonzero_bits(filter.mask, static_cast<size_t>(count), words_.data());
    } else {
        set_ids(filter, ids, count);
    }
    count_stretches();
}

void AllowedCodes::set_ids(const Filter& filter, const int64_t* ids, int64_t count) {
    const bool allow = filter.kind == Filter::Kind::allow;
    if (!allow) {
        std::fill_n(words_.begin(), count / 64, ~uint64_t{0});
        words_[static_cast<size_t>(count / 64)] = (uint64_t{1} << (count % 64)) - 1;
    }
    for (const int64_t* id = filter.ids; id != filter.ids + filter.count; ++id) {
        int64_t position = *id;
        if (ids != nullptr) {
            const int64_t* found = std::lower_bound(ids, ids + count, *id);
            position = found != ids + count && *found == *id ? found - ids : -1;
        }
        if (position < 0 || position >= count) continue;
        const uint64_t bit = uint64_t{1} << (position % 64);
        uint64_t& word = words_[static_cast<size_t>(position / 64)];
        word = allow ? word | bit : word & ~bit;
    }
}

void AllowedCodes::count_stretches() {
    before_.reserve(words_.size() / stretch_words);
    for (auto word = words_.begin(); word != words_.end(); word += stretch_words) {
        before_.push_back(total_);
        for (int64_t i = 0; i < stretch_words; ++i) total_ += std::popcount(word[i]);
        if (total_ > before_.back()) in_reach_ += 64 * stretch_words;
    }
}

int64_t AllowedCodes::code_of_rank(int64_t rank) const {
    const auto past = std::upper_bound(before_.begin(), before_.end(), rank);
    const int64_t stretch = past - before_.begin() - 1;
    int64_t left = rank - before_[static_cast<size_t>(stretch)];
    for (int64_t word = stretch * stretch_words;; ++word) {
        uint64_t bits = words_[static_cast<size_t>(word)];
        if (const int64_t here = std::popcount(bits); left >= here) {
            left -= here;
            continue;
        }
        for (; left > 0; --left) bits &= bits - 1;
        return word * 64 + std::countr_zero(bits);
    }
}

}  // namespace hashcore
