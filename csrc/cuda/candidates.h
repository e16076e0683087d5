// An anchor and its candidates, and what a triplet of them costs. Less of a key means nearer.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "core/triplet_cost.h"
#include "cuda/team.h"
#include "hashcore/ops.h"

namespace hashcore::cuda {

/// A distance and its column in one number: less means nearer, and among equals the first column.
HASHCORE_ANYWHERE inline uint64_t key_of(float distance, int64_t column) {
    const float value = distance + 0.0F;  // -0 becomes 0
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    const uint32_t ordered = (bits >> 31) != 0 ? ~bits : bits | 0x80000000U;
    return uint64_t{ordered} << 32 | static_cast<uint32_t>(column);
}
HASHCORE_ANYWHERE inline float distance_of(uint64_t key) {
    const auto ordered = static_cast<uint32_t>(key >> 32);
    const uint32_t bits = (ordered >> 31) != 0 ? ordered & 0x7FFFFFFFU : ~ordered;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}
HASHCORE_ANYWHERE inline int64_t column_of(uint64_t key) {
    return static_cast<int64_t>(key & 0xFFFFFFFFU);
}
inline constexpr uint64_t no_key = ~uint64_t{0};

/// As key_of, but that less means farther.
HASHCORE_ANYWHERE inline uint64_t far_key_of(float distance, int64_t column) {
    return key_of(-distance, column);
}

HASHCORE_ANYWHERE inline int count_bits(uint64_t word) {
#ifdef __CUDA_ARCH__
    return __popcll(word);
#else
    return __builtin_popcountll(word);
#endif
}

/// An anchor and all candidates.
struct Candidates {
    float* products;  ///< [columns] of the anchor with each
    int64_t columns;
    const uint64_t* anchor_labels;  ///< [words]
    const uint64_t* labels;         ///< [columns, words]
    int64_t words;
    float anchor_square;          ///< see ProductBlock
    const float* column_squares;  ///< [columns], or null
    int64_t own;                  ///< the column that is left out; -1: none

    HASHCORE_ANYWHERE float distance(int64_t column) const {
        if (column_squares == nullptr) return -products[column];
        const float d = anchor_square + column_squares[column] - 2 * products[column];
        return d > 0 ? d : 0;
    }
    /// Whether the distance was cut off at 0, so that it does not move with its product.
    HASHCORE_ANYWHERE bool is_cut(int64_t column) const {
        return column_squares != nullptr && distance(column) <= 0;
    }
    /// Labels in common; not `graded`, 1 for any.
    HASHCORE_ANYWHERE int shared_labels(int64_t column, bool graded) const {
        const uint64_t* of_column = labels + column * words;
        int count = 0;
        for (int64_t w = 0; w < words; ++w) {
            const uint64_t both = anchor_labels[w] & of_column[w];
            if (both != 0) count += graded ? count_bits(both) : 1;
        }
        return graded || count == 0 ? count : 1;
    }
};

/// TripletSums of an anchor; counts are exact.
struct AnchorSums {
    double loss, weight, triplets, counted;
};

/// The one triplet of an anchor that hard mining takes: derivatives by two products' distances.
struct HardTriplet {
    int64_t columns[2];  ///< positive, negative
    float slopes[2];     ///< 0 where there is no triplet or a distance was cut
};

/// Takes the triplet of two keys, far_key_of() of the positive; says what it costs.
HASHCORE_ANYWHERE inline TripletCost take_hardest(const Candidates& candidates,
                                                  const TripletRule& rule, uint64_t far,
                                                  uint64_t near, double weight,
                                                  HardTriplet& taken) {
    const int64_t positive = column_of(far), negative = column_of(near);
    const float threshold = static_cast<float>(rule.margin) + -distance_of(far);
    const TripletCost cost =
        cost_of(rule.penalty, static_cast<double>(threshold) - distance_of(near), weight);
    const auto slope = static_cast<float>(cost.slope);
    taken = {{positive, negative},
             {candidates.is_cut(positive) ? 0 : slope, candidates.is_cut(negative) ? 0 : -slope}};
    return cost;
}

/// Hard mining that is not graded: one read of the products, and no room.
template <class Team>
HASHCORE_ANYWHERE AnchorSums mine_hardest(Team& team, const Candidates& candidates,
                                          const TripletRule& rule, HardTriplet& taken) {
    struct Keys {
        uint64_t far, near;
    };
    constexpr uint64_t poison = 0;  // less than the key of any number
    const auto of_candidate = [&](int64_t i) {
        const float product = candidates.products[i];
        if (product * 0.0F != 0) return Keys{no_key, poison};
        if (i == candidates.own) return Keys{no_key, no_key};
        if (candidates.shared_labels(i, false) != 0)
            return Keys{far_key_of(candidates.distance(i), i), no_key};
        return Keys{no_key, key_of(candidates.distance(i), i)};
    };
    const auto join = [](const Keys& a, const Keys& b) {
        return Keys{a.far < b.far ? a.far : b.far, a.near < b.near ? a.near : b.near};
    };
    const Keys found = reduce(team, candidates.columns, Keys{no_key, no_key}, of_candidate, join);
    taken = {};
    if (found.near == poison) return {NAN, 0, 0, 0};
    if (found.far == no_key || found.near == no_key) return {};
    const TripletCost cost = take_hardest(candidates, rule, found.far, found.near, 1, taken);
    return {cost.loss, 0, 0, cost.counted ? 1.0 : 0.0};
}

}  // namespace hashcore::cuda
