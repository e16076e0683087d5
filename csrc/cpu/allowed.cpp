#include "cpu/allowed.h"

#include <algorithm>
#include <stdexcept>
#include <string>

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
        if (filter.count != count)
            throw std::invalid_argument("filter: expected bool [" + std::to_string(count) +
                                        "], one a code; got bool [" + std::to_string(filter.count) +
                                        "].");
        for (int64_t i = 0; i < count; ++i)
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

void FilteredSource::to_codes(Hit* first, Hit* last) const {
    if (allowed_ == nullptr) return;
    const int64_t step = source_.tile_codes();
    int64_t tile_begin = -1;
    bool gathered = false;
    AllowedCodes::Walk walk(*allowed_, 0);
    for (Hit* hit = first; hit != last; ++hit) {
        const auto position = static_cast<int64_t>(hit_position(*hit));
        if (const int64_t begin = position / step * step; begin != tile_begin) {
            tile_begin = begin;
            const int64_t count = std::min(step, source_.count() - begin);
            gathered = gathers(allowed_->count_in(begin, count), count);
            walk = AllowedCodes::Walk(*allowed_, begin);
        }
        if (!gathered) continue;
        const int64_t code = walk.code_of_rank(position - tile_begin);
        *hit = make_hit(hit_distance(*hit), static_cast<uint64_t>(code));
    }
}

int64_t AllowedCodes::Walk::code_of_rank(int64_t rank) {
    uint64_t word = allowed_->bits_of(begin_, 64);
    for (int64_t here = std::popcount(word); rank >= passed_ + here; here = std::popcount(word)) {
        passed_ += here;
        begin_ += 64;
        word = allowed_->bits_of(begin_, 64);
    }
    for (int64_t left = rank - passed_; left > 0; --left) word &= word - 1;
    return begin_ + std::countr_zero(word);
}

}  // namespace hashcore
