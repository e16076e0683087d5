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

namespace {

/// Finds positions of ids among those of codes, which ascend.
class Positions {
 public:
    /// Null `ids` are 0, 1, 2, ...
    Positions(const int64_t* ids, int64_t count) : ids_(ids), count_(count), from_(ids) {
        if (ids == nullptr || count == 0) return;
        first_ = unsigned_of(ids[0]);
        gaps_ = unsigned_of(ids[count - 1]) - first_ != unsigned_of(count - 1);
    }

    /// Whether ids that are asked for have to ascend, too.
    bool need_order() const { return gaps_; }

    /// -1 when `id` is not there.
    int64_t of(int64_t id) {
        if (!gaps_) {
            const uint64_t position = unsigned_of(id) - first_;  // huge below the first
            return position < unsigned_of(count_) ? static_cast<int64_t>(position) : -1;
        }
        const int64_t* end = ids_ + count_;
        for (int64_t step = 1; step < end - from_; step *= 2) {
            if (from_[step] >= id) {
                end = from_ + step;
                break;
            }
            from_ += step;
        }
        from_ = std::lower_bound(from_, end, id);
        return from_ != ids_ + count_ && *from_ == id ? from_ - ids_ : -1;
    }

 private:
    static uint64_t unsigned_of(int64_t value) { return static_cast<uint64_t>(value); }

    const int64_t* ids_;
    int64_t count_;
    uint64_t first_ = 0;
    bool gaps_ = false;
    const int64_t* from_;  // where the last id is or would be
};

}  // namespace

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
    Positions positions(ids, count);
    const int64_t* begin = filter.ids;
    const int64_t* end = begin + filter.count;
    std::vector<int64_t> ascending;
    if (positions.need_order() && !std::is_sorted(begin, end)) {
        ascending.assign(begin, end);
        std::sort(ascending.begin(), ascending.end());
        begin = ascending.data();
        end = begin + ascending.size();
    }
    for (const int64_t* id = begin; id != end; ++id) {
        const int64_t position = positions.of(*id);
        if (position < 0) continue;
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
