// The closed forms of one query, from its counts by distance.
#pragma once
#include <vector>

#include "hashcore/metrics.h"
#include "metrics/range_sums.h"

namespace hashcore {

/// Items at one distance; any order among them is as likely as another.
struct TiedBlock {
    int64_t items, relevant;
    double gain;  ///< sum over the items
};

/// What the closed forms of all queries share.
class RankTables {
 public:
    RankTables(int64_t item_count, const Cutoffs& cutoffs, uint32_t max_grade);
    RankTables(const RankTables&) = delete;  // discounts_ points into discount_values_
    RankTables& operator=(const RankTables&) = delete;

    /// Expected average precision over the first `cutoff` positions of blocks in ascending
    /// distance, not yet divided by the number of relevant items.
    double expected_precision_sum(const std::vector<TiedBlock>& blocks, int64_t cutoff) const;

    /// Expected relevant items in the first `cutoff` positions.
    static double expected_hits(const std::vector<TiedBlock>& blocks, int64_t cutoff);

    /// Expected discounted cumulative gain of the first `cutoff` positions.
    double expected_dcg(const std::vector<TiedBlock>& blocks, int64_t cutoff) const;

    /// Expected average precision of a random order of all items.
    double chance(int64_t relevant) const;

    double gain(uint32_t grade) const { return gains_[grade]; }
    double discount(int64_t position) const {
        return discount_values_[static_cast<size_t>(position - 1)];
    }

 private:
    int64_t item_count_;
    RangeSums<Reciprocal> reciprocals_;
    std::vector<double> discount_values_;
    RangeSums<TableTerm> discounts_;
    std::vector<double> gains_;
};

}  // namespace hashcore
