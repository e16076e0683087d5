// Triplets of an anchor without looking at each: the thresholds margin + d_ap of its positives are
// sorted, and every negative finds which of them lie above its own distance, by bisection or, where
// they are few, by comparing many negatives with each at once. Sums over those are differences of
// prefix sums, so an anchor costs O(N log N) where triplets are O(N^2).
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/thread_pool.h"
#include "core/triplet_cost.h"
#include "cpu/dispatch.h"
#include "ops/anchor.h"
#include "ops/hard_miner.h"

namespace hashcore {
namespace {

constexpr int64_t products_a_task = int64_t{1} << 16;
constexpr int64_t hard_products_a_task = int64_t{1} << 18;  // of one pass, a quarter millisecond
constexpr size_t most_compared = 256;                       // more thresholds are bisected
constexpr size_t none = std::numeric_limits<size_t>::max();

/// How many of the ascending values are below x, or with `or_equal` not above it. The comparisons
/// are no branches, which would be mispredicted half of the time.
template <bool or_equal, class Scalar>
size_t count_below(const std::vector<Scalar>& ascending, Scalar x) {
    const auto is_below = [x](Scalar value) {
        return static_cast<size_t>(or_equal ? value <= x : value < x);
    };
    const Scalar* first = ascending.data();
    size_t count = ascending.size();
    for (; count > 1; count -= count / 2) first += count / 2 * is_below(first[count / 2 - 1]);
    return static_cast<size_t>(first - ascending.data()) + is_below(*first);
}

/// Mines one anchor after another; memory stays.
template <class Scalar>
class Miner {
 public:
    Miner(int64_t columns, const TripletRule& rule, const std::vector<double>& discounts)
        : rule_(rule),
          kernels_(loss_kernels<Scalar>()),
          anchor_(columns, rule.graded, rule.weighted ? &discounts : nullptr),
          slopes_(static_cast<size_t>(columns)) {}

    TripletSums mine(const ProductBlock<Scalar>& block, int64_t row, LabelBits anchors,
                     LabelBits candidates) {
        sums_ = {};
        hardest_ = {};
        std::fill(slopes_.begin(), slopes_.end(), 0.0);
        finite_ = anchor_.take(block, row, anchors, candidates);
        if (!finite_) return {std::numeric_limits<double>::quiet_NaN(), 0, 0, 0};
        for (const Level& level : anchor_.levels()) {
            if (level.shared == 0 || level.begin == 0) continue;
            for_lower(level, [&](const Level& lower, double weight) {
                const size_t triplets = level.size() * lower.size();
                sums_.weight += weight * static_cast<double>(triplets);
                sums_.triplets += static_cast<int64_t>(triplets);
            });
            mine_level(level);
        }
        if (hardest_.positive != none) add(hardest_.positive, hardest_.negative, hardest_.weight);
        return sums_;
    }

    /// The triplet that hard mining took of the last anchor.
    void store_hardest(int64_t* columns, Scalar* slopes) const {
        columns[0] = columns[1] = 0;
        slopes[0] = slopes[1] = finite_ ? Scalar{0} : std::numeric_limits<Scalar>::quiet_NaN();
        if (hardest_.positive == none) return;
        const size_t items[] = {hardest_.positive, hardest_.negative};
        for (size_t i = 0; i < 2; ++i) {
            columns[i] = static_cast<int64_t>(anchor_.column(items[i]));
            if (!anchor_.is_cut(items[i])) slopes[i] = static_cast<Scalar>(slopes_[items[i]]);
        }
    }

    /// Derivatives of the last anchor's loss by its distances, by column.
    void store_slopes(Scalar* values, int64_t columns) const {
        std::fill(values, values + columns,
                  finite_ ? Scalar{0} : std::numeric_limits<Scalar>::quiet_NaN());
        if (!finite_) return;
        for (size_t item = 0; item < anchor_.size(); ++item)
            if (!anchor_.is_cut(item))
                values[anchor_.column(item)] = static_cast<Scalar>(slopes_[item]);
    }

 private:
    struct Pair {
        size_t positive = none, negative = none;
        double weight = 0;
        Scalar excess = 0;
    };

    /// With the positives of one level.
    void mine_level(const Level& level) {
        switch (rule_.mining) {
            case Mining::hard:
                return find_hardest(level);
            case Mining::semi_hard:
                return add_nearest_beyond(level);
            case Mining::all:
                if (rule_.penalty == Penalty::hinge) return add_all_hinges(level);
                return add_all_logistic(level);
        }
    }

    Scalar threshold(size_t positive) const {
        return static_cast<Scalar>(rule_.margin) + anchor_.distance(positive);
    }

    /// Calls body(lower, weight) for the levels of the negatives of a level's positives.
    template <class Body>
    void for_lower(const Level& level, const Body& body) const {
        for (const Level& lower : anchor_.levels()) {
            if (lower.shared >= level.shared) return;
            body(lower, rule_.weighted ? level.gain - lower.gain : 1.0);
        }
    }

    /// Calls body(item, weight) for the negatives of a level's positives.
    template <class Body>
    void for_negatives(const Level& level, const Body& body) const {
        for_lower(level, [&](const Level& lower, double weight) {
            for (size_t item = lower.begin; item < lower.end; ++item) body(item, weight);
        });
    }

    /// `below_` of each negative of a level: how many of the ascending values are below it.
    template <bool or_equal>
    void place_negatives(const Level& level) {
        below_.resize(level.begin);
        if (ascending_.size() <= most_compared)
            return kernels_.count_below(ascending_.data(), ascending_.size(), or_equal,
                                        anchor_.distances(), level.begin, below_.data());
        for (size_t item = 0; item < level.begin; ++item)
            below_[item] = static_cast<Mark<Scalar>>(
                count_below<or_equal>(ascending_, anchor_.distance(item)));
    }

    /// Sorts the positives of a level by distance; `ascending_` are their values of `of`.
    template <class Of>
    void sort_positives(const Level& level, const Of& of) {
        order_.resize(level.size());
        for (size_t i = 0; i < order_.size(); ++i) order_[i] = level.begin + i;
        std::sort(order_.begin(), order_.end(), [&](size_t a, size_t b) {
            const Scalar x = anchor_.distance(a), y = anchor_.distance(b);
            return x < y || (x == y && a < b);
        });
        ascending_.resize(order_.size());
        for (size_t i = 0; i < order_.size(); ++i) ascending_[i] = of(order_[i]);
    }

    void add_all_hinges(const Level& level) {
        sort_positives(level, [this](size_t item) { return threshold(item); });
        const size_t count = ascending_.size();
        above_.assign(count + 1, 0);  // sums of the thresholds from each on
        for (size_t i = count; i-- > 0;) above_[i] = above_[i + 1] + ascending_[i];
        pulls_.assign(count + 1, 0);  // weights of the negatives below each threshold first
        place_negatives<true>(level);
        for_negatives(level, [&](size_t item, double weight) {
            const Scalar distance = anchor_.distance(item);
            const auto first = static_cast<size_t>(below_[item]);
            const auto active = static_cast<double>(count - first);
            sums_.loss += weight * (above_[first] - active * static_cast<double>(distance));
            sums_.counted += static_cast<int64_t>(count - first);
            slopes_[item] -= weight * active;
            pulls_[first] += weight;
        });
        double pull = 0;
        for (size_t i = 0; i < count; ++i) slopes_[order_[i]] += pull += pulls_[i];
    }

    void add_all_logistic(const Level& level) {
        for (size_t positive = level.begin; positive < level.end; ++positive) {
            for_lower(level, [&](const Level& lower, double weight) {
                const LogisticSums sums =
                    kernels_.logistic(anchor_.distances() + lower.begin, lower.size(),
                                      threshold(positive), weight, slopes_.data() + lower.begin);
                sums_.loss += weight * sums.loss;
                slopes_[positive] += weight * sums.slope;
            });
        }
        sums_.counted += static_cast<int64_t>(level.size() * level.begin);
    }

    void find_hardest(const Level& level) {
        size_t positive = level.begin;
        for (size_t item = level.begin; item < level.end; ++item)
            if (anchor_.distance(item) > anchor_.distance(positive)) positive = item;
        size_t negative = none;
        double weight = 0;
        for_negatives(level, [&](size_t item, double of_item) {
            if (negative != none && !is_nearer(item, negative)) return;
            negative = item;
            weight = of_item;
        });
        const Scalar excess = anchor_.distance(positive) - anchor_.distance(negative);
        if (hardest_.positive == none || excess >= hardest_.excess)
            hardest_ = {positive, negative, weight, excess};
    }

    bool is_nearer(size_t a, size_t b) const {
        const Scalar x = anchor_.distance(a), y = anchor_.distance(b);
        return x < y || (x == y && anchor_.column(a) < anchor_.column(b));
    }

    void add_nearest_beyond(const Level& level) {
        sort_positives(level, [this](size_t item) { return anchor_.distance(item); });
        nearest_.assign(ascending_.size() + 1, {});
        const auto take_nearer = [this](Pair& best, const Pair& other) {
            if (other.negative != none &&
                (best.negative == none || is_nearer(other.negative, best.negative)))
                best = other;
        };
        // [i]: of the negatives that lie beyond the first i positives and no more
        place_negatives<false>(level);
        for_negatives(level, [&](size_t item, double weight) {
            take_nearer(nearest_[static_cast<size_t>(below_[item])], {none, item, weight, 0});
        });
        Pair best;
        for (size_t i = ascending_.size(); i > 0; --i) {
            take_nearer(best, nearest_[i]);
            if (best.negative != none) add(order_[i - 1], best.negative, best.weight);
        }
    }

    /// One triplet.
    void add(size_t positive, size_t negative, double weight) {
        const double x = static_cast<double>(threshold(positive)) -
                         static_cast<double>(anchor_.distance(negative));
        const TripletCost cost = cost_of(rule_.penalty, x, weight);
        sums_.loss += cost.loss;
        sums_.counted += cost.counted ? 1 : 0;
        slopes_[positive] += cost.slope;
        slopes_[negative] -= cost.slope;
    }

    const TripletRule rule_;
    const LossKernels<Scalar>& kernels_;
    Anchor<Scalar> anchor_;
    TripletSums sums_{};
    bool finite_ = true;
    Pair hardest_;
    std::vector<double> slopes_;  // [columns] by item
    std::vector<size_t> order_;
    std::vector<Scalar> ascending_;
    std::vector<Mark<Scalar>> below_;
    std::vector<double> above_, pulls_;
    std::vector<Pair> nearest_;
};

}  // namespace

template <class Scalar>
TripletSums mine_triplets(const ProductBlock<Scalar>& block, LabelBits anchor_labels,
                          LabelBits candidate_labels, const TripletRule& rule,
                          const HardTriplets<Scalar>& hard, bool differentiate, int threads) {
    if (block.rows == 0 || block.columns == 0) return {};
    std::vector<TripletSums> of_rows(static_cast<size_t>(block.rows));
    const auto discounts = sum_discounts(rule.weighted ? block.columns : 0);
    const bool one_pass = rule.mining == Mining::hard && !rule.graded;
    const int64_t step =
        std::max<int64_t>(1, (one_pass ? hard_products_a_task : products_a_task) / block.columns);
    const auto for_rows = [&](int64_t task, auto& miner) {
        for (int64_t row = task * step; row < std::min(block.rows, (task + 1) * step); ++row) {
            of_rows[static_cast<size_t>(row)] =
                miner.mine(block, row, anchor_labels, candidate_labels);
            if (rule.mining == Mining::hard)
                miner.store_hardest(hard.columns + 2 * row, hard.slopes + 2 * row);
            else if (differentiate)
                miner.store_slopes(block.values + row * block.columns, block.columns);
        }
    };
    parallel_for((block.rows + step - 1) / step, threads, nullptr, [&](int64_t task) {
        if (one_pass) {
            HardMiner<Scalar> miner(block.columns, rule);
            return for_rows(task, miner);
        }
        Miner<Scalar> miner(block.columns, rule, discounts);
        for_rows(task, miner);
    });
    TripletSums total{};
    for (const TripletSums& row : of_rows) {
        total.loss += row.loss;
        total.weight += row.weight;
        total.triplets += row.triplets;
        total.counted += row.counted;
    }
    return total;
}

template TripletSums mine_triplets(const ProductBlock<float>&, LabelBits, LabelBits,
                                   const TripletRule&, const HardTriplets<float>&, bool, int);
template TripletSums mine_triplets(const ProductBlock<double>&, LabelBits, LabelBits,
                                   const TripletRule&, const HardTriplets<double>&, bool, int);

}  // namespace hashcore
