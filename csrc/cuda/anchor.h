// Triplets of one anchor on a Team; hashcore/ops.h says which there are. The thresholds
// margin + d_ap of the positives are sorted, and each negative finds by bisection which of them lie
// above its distance. Whatever threads add up together is integers, so that no order shows.
#pragma once
#include <cstdint>
#include <type_traits>

#include "cuda/candidates.h"

namespace hashcore::cuda {

/// Memory to mine an anchor with.
struct AnchorRoom {
    uint64_t* keys;     ///< [sorted_size(columns)] positives of a level, the nearest first
    uint64_t* nearest;  ///< [columns + 1] semi-hard
    double* sums;       ///< [columns] semi-hard
    int* counts;        ///< [columns + 1] all
    double* slopes;     ///< [columns] derivatives by the distances; not for hard
    double* gains;      ///< [levels]
    int* sizes;        ///< [levels + 1] candidates that share that many labels; the last is a tally
    uint16_t* shared;  ///< [columns] labels in common
    int levels;        ///< more than any two rows have in common

    /// Takes its parts from `memory`, or none when that is null. Returns the bytes of them.
    HASHCORE_ANYWHERE int64_t lay_out(char* memory, int64_t columns, int64_t words,
                                      const TripletRule& rule) {
        const bool hard = rule.mining == Mining::hard;
        const bool semi_hard = rule.mining == Mining::semi_hard;
        levels = rule.graded ? static_cast<int>(words * 64) + 1 : 2;
        int64_t used = 0;
        const auto take = [&](auto*& part, int64_t items) {
            using Item = std::remove_reference_t<decltype(*part)>;
            if (memory != nullptr) part = reinterpret_cast<Item*>(memory + used);
            used += (items * static_cast<int64_t>(sizeof(Item)) + 7) / 8 * 8;
        };
        take(keys, hard ? 0 : sorted_size(columns));
        take(nearest, semi_hard ? columns + 1 : 0);
        take(sums, semi_hard ? columns : 0);
        take(slopes, hard ? 0 : columns);
        take(gains, levels);
        take(counts, rule.mining == Mining::all ? columns + 1 : 0);
        take(sizes, levels + 1);
        take(shared, columns);
        return used;
    }
};

template <class Team>
class AnchorMiner {
 public:
    HASHCORE_ANYWHERE AnchorMiner(Team& team, const Candidates& candidates, const TripletRule& rule,
                                  const AnchorRoom& room)
        : team_(team), candidates_(candidates), rule_(rule), room_(room) {}

    /// `discounts` [columns + 1]: sums of the first 0..columns of 1 / log2(rank + 1).
    HASHCORE_ANYWHERE AnchorSums mine(const double* discounts) {
        if (!sort_by_level()) return {NAN, 0, 0, 0};
        if (rule_.weighted) set_gains(discounts);
        if (rule_.mining != Mining::hard)
            team_.each(candidates_.columns, [this](int64_t i) { room_.slopes[i] = 0; });
        int64_t below = 0;  // candidates of the levels before, and the sum of their gains
        double gain_below = 0;
        for (int level = 0; level < room_.levels; ++level) {
            const int size = room_.sizes[level];
            if (size == 0) continue;
            if (level > 0 && below > 0) {
                const auto triplets = static_cast<double>(size) * static_cast<double>(below);
                sums_.triplets += triplets;
                sums_.weight +=
                    rule_.weighted
                        ? size * (room_.gains[level] * static_cast<double>(below) - gain_below)
                        : triplets;
                mine_level(level, size, triplets);
            }
            below += size;
            if (rule_.weighted) gain_below += room_.gains[level] * size;
        }
        return sums_;
    }

    /// In place of the products come the derivatives of what mine() returned.
    HASHCORE_ANYWHERE void store_slopes() const {
        const bool poisoned = sums_.loss != sums_.loss;
        team_.each(candidates_.columns, [&](int64_t i) {
            const bool still = candidates_.is_cut(i);
            candidates_.products[i] =
                poisoned ? NAN : (still ? 0.0F : static_cast<float>(room_.slopes[i]));
        });
    }

    /// What hard mining took, after mine().
    HASHCORE_ANYWHERE HardTriplet hardest() const { return hardest_; }

 private:
    struct Sums {
        double loss, counted;
        HASHCORE_ANYWHERE Sums operator+(const Sums& other) const {
            return {loss + other.loss, counted + other.counted};
        }
    };
    static constexpr uint16_t left_out = 0xFFFF;

    HASHCORE_ANYWHERE void add(const Sums& more) {
        sums_.loss += more.loss;
        sums_.counted += more.counted;
    }

    /// Finds each candidate's level and the size of each; false where a product is not finite.
    HASHCORE_ANYWHERE bool sort_by_level() {
        team_.each(room_.levels, [this](int64_t i) { room_.sizes[i] = 0; });
        const float poison = sum<float>(team_, candidates_.columns, [this](int64_t i) {
            if (i == candidates_.own) {
                room_.shared[i] = left_out;
            } else {
                const int shared = candidates_.shared_labels(i, rule_.graded);
                room_.shared[i] = static_cast<uint16_t>(shared);
                team_.add(&room_.sizes[shared], 1);
            }
            return candidates_.products[i] * 0.0F;  // NaN of a NaN or an infinity
        });
        if (poison == 0) return true;
        sums_.loss = NAN;
        return false;
    }

    /// Gains 2^shared / Z. All powers are taken over the largest, so that none overflows.
    HASHCORE_ANYWHERE void set_gains(const double* discounts) {
        team_.each(1, [&](int64_t) {
            int most = room_.levels - 1;
            while (most > 0 && room_.sizes[most] == 0) --most;
            double ideal = 0;
            int64_t before = 0;  // candidates that share more
            for (int level = most; level >= 0; --level) {
                const int64_t behind = before + room_.sizes[level];
                const double power = exp2(static_cast<double>(level - most));
                ideal += (power - exp2(-static_cast<double>(most))) *
                         (discounts[behind] - discounts[before]);
                room_.gains[level] = power;
                before = behind;
            }
            for (int level = 0; level <= most; ++level)
                room_.gains[level] = ideal > 0 ? room_.gains[level] / ideal : 0;
        });
    }

    HASHCORE_ANYWHERE void mine_level(int level, int size, double triplets) {
        if (rule_.mining == Mining::hard) return find_hardest(level);
        sort_positives(level, size);
        if (rule_.mining == Mining::semi_hard) return add_nearest_beyond(level, size);
        if (rule_.penalty == Penalty::logistic) {
            sums_.counted += triplets;
            return add_all_logistic(level, size);
        }
        // Where all negatives weigh the same, they are of one level.
        if (!rule_.weighted) return add_all_hinges(0, level, size, 1);
        for (int lower = 0; lower < level; ++lower)
            if (room_.sizes[lower] > 0)
                add_all_hinges(lower, lower + 1, size, room_.gains[level] - room_.gains[lower]);
    }

    HASHCORE_ANYWHERE double weight_of(int level, int64_t negative) const {
        return rule_.weighted ? room_.gains[level] - room_.gains[room_.shared[negative]] : 1;
    }

    HASHCORE_ANYWHERE float threshold(int64_t position) const {
        return static_cast<float>(rule_.margin) + distance_of(room_.keys[position]);
    }

    HASHCORE_ANYWHERE void sort_positives(int level, int size) {
        int* tally = room_.sizes + room_.levels;
        team_.each(1, [&](int64_t) { *tally = 0; });
        team_.each(candidates_.columns, [&](int64_t i) {
            if (room_.shared[i] == level)
                room_.keys[team_.add(tally, 1)] = key_of(candidates_.distance(i), i);
        });
        sort(team_, room_.keys, size);
    }

    /// How many of the first `count` positions, in which is_below is true first, it is true for.
    template <class IsBelow>
    HASHCORE_ANYWHERE static int64_t count_below(int64_t count, const IsBelow& is_below) {
        int64_t first = 0;
        while (count > 0) {
            const int64_t half = count / 2;
            if (is_below(first + half)) {
                first += half + 1;
                count -= half + 1;
            } else {
                count = half;
            }
        }
        return first;
    }

    /// With the negatives of levels [first, end).
    HASHCORE_ANYWHERE void add_all_hinges(int first, int end, int size, double weight) {
        int* counts = room_.counts;  // negatives below each threshold and not below the one before
        team_.each(size, [&](int64_t i) { counts[i] = 0; });
        const auto of_negative = [&](int64_t i) {
            if (room_.shared[i] < first || room_.shared[i] >= end) return 0.0;
            const float distance = candidates_.distance(i);
            const int64_t position =
                count_below(size, [&](int64_t p) { return threshold(p) <= distance; });
            if (position == size) return 0.0;
            const auto active = static_cast<double>(size - position);
            room_.slopes[i] -= weight * active;
            team_.add(&counts[position], 1);
            return active * static_cast<double>(distance);
        };
        sums_.loss -= weight * sum<double>(team_, candidates_.columns, of_negative);
        scan(
            team_, size, 0, [&](int64_t i) -> int& { return counts[i]; },
            [](int a, int b) { return a + b; });
        add(sum<Sums>(team_, size, [&](int64_t p) {
            const double active = counts[p];
            room_.slopes[column_of(room_.keys[p])] += weight * active;
            return Sums{weight * active * static_cast<double>(threshold(p)), active};
        }));
    }

    HASHCORE_ANYWHERE void add_all_logistic(int level, int size) {
        const auto slope_of = [this](int64_t p, int64_t i) {
            return cost_of(Penalty::logistic, threshold(p) - candidates_.distance(i), 1);
        };
        sums_.loss += sum<double>(team_, candidates_.columns, [&](int64_t i) {
            if (room_.shared[i] >= level) return 0.0;
            double loss = 0, slope = 0;
            for (int64_t p = 0; p < size; ++p) {
                const TripletCost cost = slope_of(p, i);
                loss += cost.loss;
                slope += cost.slope;
            }
            room_.slopes[i] -= weight_of(level, i) * slope;
            return weight_of(level, i) * loss;
        });
        team_.each(size, [&](int64_t p) {
            double slope = 0;
            for (int64_t i = 0; i < candidates_.columns; ++i)
                if (room_.shared[i] < level) slope += weight_of(level, i) * slope_of(p, i).slope;
            room_.slopes[column_of(room_.keys[p])] += slope;
        });
    }

    HASHCORE_ANYWHERE void add_nearest_beyond(int level, int size) {
        uint64_t* nearest = room_.nearest;  // [p + 1]: of the negatives beyond position p
        team_.each(size + 1, [&](int64_t i) { nearest[i] = no_key; });
        team_.each(candidates_.columns, [&](int64_t i) {
            if (room_.shared[i] >= level) return;
            const float distance = candidates_.distance(i);
            const int64_t beyond =
                count_below(size, [&](int64_t p) { return distance_of(room_.keys[p]) < distance; });
            team_.keep_least(&nearest[beyond], key_of(distance, i));
        });
        scan(
            team_, size, no_key, [&](int64_t i) -> uint64_t& { return nearest[size - i]; },
            [](uint64_t a, uint64_t b) { return a < b ? a : b; });
        add(sum<Sums>(team_, size, [&](int64_t p) {
            TripletCost cost{};
            if (const uint64_t negative = nearest[p + 1]; negative != no_key) {
                const double x =
                    static_cast<double>(threshold(p)) - static_cast<double>(distance_of(negative));
                cost = cost_of(rule_.penalty, x, weight_of(level, column_of(negative)));
            }
            room_.sums[p] = cost.slope;
            room_.slopes[column_of(room_.keys[p])] += cost.slope;
            return Sums{cost.loss, cost.counted ? 1.0 : 0.0};
        }));
        // Positives that take the same negative stand side by side: theirs is a difference of sums.
        scan(
            team_, size, 0.0, [&](int64_t i) -> double& { return room_.sums[i]; },
            [](double a, double b) { return a + b; });
        team_.each(size, [&](int64_t p) {
            const uint64_t negative = nearest[p + 1];
            if (negative == no_key || (p + 1 < size && nearest[p + 2] == negative)) return;
            const int64_t first =
                count_below(p, [&](int64_t i) { return nearest[i + 1] < negative; });
            room_.slopes[column_of(negative)] -=
                room_.sums[p] - (first == 0 ? 0 : room_.sums[first - 1]);
        });
    }

    HASHCORE_ANYWHERE void find_hardest(int level) {
        const auto least = [](uint64_t a, uint64_t b) { return a < b ? a : b; };
        const uint64_t far = reduce(
            team_, candidates_.columns, no_key,
            [&](int64_t i) {
                if (room_.shared[i] != level) return no_key;
                return far_key_of(candidates_.distance(i), i);
            },
            least);
        const uint64_t near = reduce(
            team_, candidates_.columns, no_key,
            [&](int64_t i) {
                if (room_.shared[i] >= level) return no_key;
                return key_of(candidates_.distance(i), i);
            },
            least);
        const float excess = -distance_of(far) - distance_of(near);
        if (has_hardest_ && excess < most_excess_) return;
        has_hardest_ = true;
        most_excess_ = excess;
        const TripletCost cost = take_hardest(candidates_, rule_, far, near,
                                              weight_of(level, column_of(near)), hardest_);
        sums_.loss = cost.loss;
        sums_.counted = cost.counted ? 1 : 0;
    }

    Team& team_;
    const Candidates& candidates_;
    const TripletRule& rule_;
    const AnchorRoom& room_;
    AnchorSums sums_{};
    HardTriplet hardest_{};
    float most_excess_ = 0;
    bool has_hardest_ = false;
};

}  // namespace hashcore::cuda
