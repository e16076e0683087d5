#include "metrics/sliced_counts.h"

#include <algorithm>
#include <bit>
#include <numeric>

namespace hashcore {
namespace {

using Plane = SlicedCounts::Plane;

/// Bit by bit, a + b + c: `a` becomes the sum's low digit, `c` its high one.
void add_three(Plane& a, const Plane& b, Plane& c) {
    for (size_t w = 0; w < a.size(); ++w) {
        const uint64_t half = a[w] ^ b[w];
        const uint64_t carry = (a[w] & b[w]) | (half & c[w]);
        a[w] = half ^ c[w];
        c[w] = carry;
    }
}

bool is_empty(const Plane& plane) {
    return std::accumulate(plane.begin(), plane.end(), uint64_t{0}, std::bit_or<>()) == 0;
}

}  // namespace

SlicedCounts::SlicedCounts(const KernelTable& table, uint32_t largest)
    : table_(table), digits_(static_cast<size_t>(std::bit_width(largest))) {
    clear();
}

void SlicedCounts::clear() {
    for (Digit& digit : digits_) {
        digit.sum.fill(0);
        digit.waits = false;
    }
}

void SlicedCounts::add(const uint64_t* bits, int64_t words) {
    Plane carry{};
    std::copy_n(bits, words, carry.begin());
    for (Digit& digit : digits_) {
        if (!digit.waits) {
            digit.waiting = carry;
            digit.waits = true;
            return;
        }
        digit.waits = false;
        add_three(digit.sum, digit.waiting, carry);
    }
}

void SlicedCounts::settle() {
    constexpr Plane nothing{};
    Plane carry{};
    for (Digit& digit : digits_) {
        add_three(digit.sum, digit.waits ? digit.waiting : nothing, carry);
        digit.waits = false;
    }
}

void SlicedCounts::count(uint32_t least, std::vector<int64_t>& totals) {
    settle();
    Plane all;
    all.fill(~uint64_t{0});
    count_below(digits_.size(), all, 0, least, totals);
}

/// Counts among `items`, whose higher digits make up `value`.
void SlicedCounts::count_below(size_t digits, const Plane& items, uint32_t value, uint32_t least,
                               std::vector<int64_t>& totals) const {
    const uint32_t largest = value + (1U << digits) - 1;
    if (largest < least || is_empty(items)) return;
    if (digits == 0) {
        constexpr uint64_t nothing = 0;
        std::array<uint32_t, span_words> sizes;
        table_.distances(items.data(), span_words / codes_per_block, 1, &nothing, sizes.data());
        totals[value] += std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
        return;
    }
    const Plane& digit = digits_[digits - 1].sum;
    alignas(64) Plane with, without;
    for (size_t w = 0; w < items.size(); ++w) {
        with[w] = items[w] & digit[w];
        without[w] = items[w] & ~digit[w];
    }
    count_below(digits - 1, with, value + (1U << (digits - 1)), least, totals);
    count_below(digits - 1, without, value, least, totals);
}

}  // namespace hashcore
