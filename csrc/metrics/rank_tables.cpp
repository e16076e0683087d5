#include "metrics/rank_tables.h"

#include <algorithm>
#include <cmath>

namespace hashcore {
namespace {

std::vector<double> discounts_upto(int64_t count) {
    std::vector<double> values(static_cast<size_t>(count));
    for (size_t i = 0; i < values.size(); ++i)
        values[i] = 1.0 / std::log2(static_cast<double>(i) + 2.0);
    return values;
}

int64_t largest_cut(const std::vector<int64_t>& cutoffs, int64_t item_count) {
    if (cutoffs.empty()) return 0;
    return std::min(item_count, *std::max_element(cutoffs.begin(), cutoffs.end()));
}

/// After N0 items with R0 hits, a block of n items holds r relevant ones. Its i-th position is
/// relevant with probability r / n, and then (i - 1)(r - 1) / (n - 1) hits are expected before it
/// inside the block. With h the sum of 1 / (N0 + i), the sum of (i - 1) / (N0 + i) over m positions
/// is m - (N0 + 1) h, which cancels heavily.
double block_precision_sum(int64_t items_before, int64_t hits_before, const TiedBlock& block,
                           int64_t positions, DoubleDouble h) {
    const auto factor = static_cast<double>(items_before + 1);
    const double product = factor * h.high;
    const double product_error = std::fma(factor, h.high, -product);
    const double rest =
        ((static_cast<double>(positions) - product) - product_error) - factor * h.low;
    const double density = block.items == 1 ? 0.0
                                            : static_cast<double>(block.relevant - 1) /
                                                  static_cast<double>(block.items - 1);
    const double probability =
        static_cast<double>(block.relevant) / static_cast<double>(block.items);
    return probability * (static_cast<double>(hits_before + 1) * h.high + density * rest);
}

}  // namespace

RankTables::RankTables(int64_t item_count, const Cutoffs& cutoffs, uint32_t max_grade)
    : item_count_(item_count),
      reciprocals_(item_count, Reciprocal{}),
      discount_values_(discounts_upto(largest_cut(cutoffs.ndcg_at, item_count))),
      discounts_(static_cast<int64_t>(discount_values_.size()), TableTerm{discount_values_.data()}),
      gains_(static_cast<size_t>(max_grade) + 1) {
    for (size_t grade = 0; grade < gains_.size(); ++grade)
        gains_[grade] = std::ldexp(1.0, static_cast<int>(grade)) - 1.0;
}

double RankTables::expected_precision_sum(const std::vector<TiedBlock>& blocks,
                                          int64_t cutoff) const {
    double sum = 0;
    int64_t items = 0;
    int64_t hits = 0;
    DoubleDouble before;
    for (const TiedBlock& block : blocks) {
        if (items >= cutoff) break;
        const int64_t positions = std::min(block.items, cutoff - items);
        const DoubleDouble upto = reciprocals_.upto(items + positions);
        if (block.relevant > 0)
            sum += block_precision_sum(items, hits, block, positions, upto - before);
        before = upto;
        items += block.items;
        hits += block.relevant;
    }
    return sum;
}

double RankTables::expected_hits(const std::vector<TiedBlock>& blocks, int64_t cutoff) {
    int64_t items = 0;
    int64_t hits = 0;
    for (const TiedBlock& block : blocks) {
        if (block.items > cutoff - items)
            return static_cast<double>(hits) + static_cast<double>(block.relevant) *
                                                   static_cast<double>(cutoff - items) /
                                                   static_cast<double>(block.items);
        items += block.items;
        hits += block.relevant;
    }
    return static_cast<double>(hits);
}

double RankTables::expected_dcg(const std::vector<TiedBlock>& blocks, int64_t cutoff) const {
    double sum = 0;
    int64_t items = 0;
    for (const TiedBlock& block : blocks) {
        if (items >= cutoff) break;
        const int64_t positions = std::min(block.items, cutoff - items);
        if (block.gain > 0)
            sum += block.gain / static_cast<double>(block.items) *
                   discounts_.between(items, items + positions).high;
        items += block.items;
    }
    return sum;
}

double RankTables::chance(int64_t relevant) const {
    if (relevant == 0) return 0.0;
    return block_precision_sum(0, 0, {item_count_, relevant, 0.0}, item_count_,
                               reciprocals_.upto(item_count_)) /
           static_cast<double>(relevant);
}

}  // namespace hashcore
