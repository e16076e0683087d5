// Small numbers of many items, added up and counted 64 items to an operation.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "cpu/kernel_table.h"

namespace hashcore {

/// A number from 0 for each item of a span, kept as one plane of bits a binary digit.
class SlicedCounts {
 public:
    static constexpr int64_t span_words = 64;  // of 64 items each
    using Plane = std::array<uint64_t, span_words>;

    /// No number grows beyond `largest`.
    SlicedCounts(const KernelTable& table, uint32_t largest);

    void clear();
    /// Adds 1 to every item whose bit is set in `bits` [words].
    void add(const uint64_t* bits, int64_t words);
    /// Adds to totals[value] the items that have it, for values from `least`, 1 or more.
    void count(uint32_t least, std::vector<int64_t>& totals);

 private:
    /// Adding goes two planes at a time: the first waits for the second.
    struct Digit {
        Plane sum, waiting;
        bool waits;
    };

    void settle();
    void count_below(size_t digits, const Plane& items, uint32_t value, uint32_t least,
                     std::vector<int64_t>& totals) const;

    const KernelTable& table_;
    std::vector<Digit> digits_;  // least significant first
};

}  // namespace hashcore
