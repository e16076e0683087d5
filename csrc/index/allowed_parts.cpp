#include "index/allowed_parts.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "cpu/dispatch.h"

namespace hashcore {
namespace {

/// Hands the entries of a mask to live codes, one after the other.
class MaskDealer {
 public:
    explicit MaskDealer(const uint8_t* mask) : next_(mask) {}

    /// Sets the bits of the live codes [begin, end) of `part` that are allowed.
    void deal(const Part& part, int64_t begin, int64_t end, CodeBitmap& bits) {
        const Tombstones& removed = part.removed();
        for (int64_t word = begin / 64; word * 64 < end; ++word) {
            uint64_t live = word < removed.words() ? ~removed.data()[word] : ~uint64_t{0};
            if (begin > word * 64) live &= ~uint64_t{0} << (begin % 64);
            if (end < word * 64 + 64) live &= (uint64_t{1} << (end % 64)) - 1;
            bits.data()[word] |= deal_to(live);
        }
    }

 private:
    uint64_t deal_to(uint64_t live) {
        const int count = std::popcount(live);
        std::array<uint64_t, 2> entries;
        kernels().nonzero_bits(next_, static_cast<size_t>(count), entries.data());
        next_ += count;
        if (count == 64) return entries[0];
        uint64_t allowed = 0;
        for (uint64_t left = entries[0]; live != 0; live &= live - 1, left >>= 1)
            if ((left & 1) != 0) allowed |= live & -live;
        return allowed;
    }

    const uint8_t* next_;
};

}  // namespace

AllowedParts::AllowedParts(const Filter* filter, const Part& base, const Part& delta) {
    const bool whole = delta.count() == 0 && base.removed().count() == 0;
    if (filter != nullptr && filter->kind == Filter::Kind::mask && !whole) {
        deal_mask(*filter, base, delta);
    } else if (filter != nullptr) {
        const auto bits_of = [filter](const Part& part) {
            return part.live_bits(filter_bits(*filter, part.ids().data(), part.count()));
        };
        of_base_.emplace(bits_of(base));
        if (delta.count() > 0) of_delta_.emplace(bits_of(delta));
    }
    base_ = of_base_ ? &*of_base_ : base.live_codes();
    delta_ = of_delta_ ? &*of_delta_ : delta.live_codes();
}

void AllowedParts::deal_mask(const Filter& mask, const Part& base, const Part& delta) {
    check_mask_length(mask, base.live() + delta.live());
    CodeBitmap base_bits(base.count());
    CodeBitmap delta_bits(delta.count());
    MaskDealer dealer(mask.mask);
    int64_t dealt = 0;  // codes of the base
    for (int64_t i = delta.next_live(0); i < delta.count(); i = delta.next_live(i + 1)) {
        // Ids of a file that nobody verified may be in any order.
        const int64_t below = std::max(dealt, base.ids().lower_bound(delta.ids().at(i)));
        dealer.deal(base, dealt, below, base_bits);
        dealer.deal(delta, i, i + 1, delta_bits);
        dealt = below;
    }
    dealer.deal(base, dealt, base.count(), base_bits);
    of_base_.emplace(std::move(base_bits));
    of_delta_.emplace(std::move(delta_bits));
}

}  // namespace hashcore
