#include "cpu/allowed.h"

#include <algorithm>

namespace hashcore {

static_assert(std::endian::native == std::endian::little,
              "a byte of the bit map must hold the bits of one block");

AllowedCodes::AllowedCodes(const Filter& filter, const int64_t* ids, int64_t count)
    : words_(static_cast<size_t>(count / 64 + 2)) {
    const auto set = [&](int64_t position, bool allow) {
        const uint64_t bit = uint64_t{1} << (position % 64);
        uint64_t& word = words_[static_cast<size_t>(position / 64)];
        word = allow ? word | bit : word & ~bit;
    };
    if (filter.kind == Filter::Kind::mask) {
        for (int64_t i = 0; i < std::min(count, filter.count); ++i)
            words_[static_cast<size_t>(i / 64)] |= uint64_t{filter.mask[i] != 0} << (i % 64);
    } else {
        const bool allow = filter.kind == Filter::Kind::allow;
        if (!allow) {
            std::fill(words_.begin(), words_.end(), ~uint64_t{0});
            for (int64_t i = count; i < static_cast<int64_t>(words_.size()) * 64; ++i)
                set(i, false);
        }
        for (const int64_t* id = filter.ids; id != filter.ids + filter.count; ++id) {
            int64_t position = *id;
            if (ids != nullptr) {
                const int64_t* found = std::lower_bound(ids, ids + count, *id);
                position = found != ids + count && *found == *id ? found - ids : -1;
            }
            if (position >= 0 && position < count) set(position, allow);
        }
    }
    for (const uint64_t word : words_) total_ += std::popcount(word);
}

int64_t AllowedCodes::select(int64_t begin, int64_t rank) const {
    for (;; begin += 64) {
        uint64_t word = word_at(begin, 64);
        const int64_t here = std::popcount(word);
        if (rank >= here) {
            rank -= here;
            continue;
        }
        for (; rank > 0; --rank) word &= word - 1;
        return begin + std::countr_zero(word);
    }
}

Tile FilteredSource::tile(int64_t begin, int64_t count, WordBuffer& scratch) const {
    if (allowed_ == nullptr) return {source_.tile(begin, count, scratch), count, nullptr};
    const int64_t allowed = allowed_->count_in(begin, count);
    if (!gathers(allowed, count)) {
        const bool all = allowed == count;
        const uint64_t* blocks = allowed == 0 ? nullptr : source_.tile(begin, count, scratch);
        return {blocks, allowed == 0 ? 0 : count, all ? nullptr : allowed_->block_masks(begin)};
    }
    const int64_t needed = interleaved_words(count, source_.bits());
    if (scratch.size() < needed) scratch = WordBuffer(needed);
    int64_t rank = 0;
    allowed_->for_each(begin, count, [&](int64_t position) {
        source_.copy_code(position, scratch.data(), rank++);
    });
    return {scratch.data(), allowed, nullptr};
}

int64_t FilteredSource::code_at(int64_t position) const {
    if (allowed_ == nullptr) return position;
    const int64_t step = source_.tile_codes();
    const int64_t begin = position / step * step;
    const int64_t count = std::min(step, source_.count() - begin);
    if (!gathers(allowed_->count_in(begin, count), count)) return position;
    return allowed_->select(begin, position - begin);
}

}  // namespace hashcore
