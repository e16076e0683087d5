// The greatest and the least of an anchor's distances: of parts by lanes as in logistic.inl.h, and
// where they are by a second look at a part.
#pragma once
#include <cstddef>
#include <cstdint>

#include "cpu/kernels/logistic.inl.h"

namespace hashcore {
namespace {

template <class T>
void mark_similar(const uint64_t* row, const uint64_t* columns, size_t words, size_t count,
                  Mark<T>* similar) {
    if (words == 1) {
        const uint64_t own = row[0];
        for (size_t i = 0; i < count; ++i) similar[i] = (own & columns[i]) != 0 ? 1 : 0;
        return;
    }
    for (size_t i = 0; i < count; ++i, columns += words) {
        uint64_t both = 0;
        for (size_t w = 0; w < words; ++w) both |= row[w] & columns[w];
        similar[i] = both != 0 ? 1 : 0;
    }
}

/// Candidates that are taken at a time.
inline constexpr size_t extremes_part = 256;

template <bool or_equal, class T>
void count_part_below(const T* thresholds, size_t size, const T* values, size_t count,
                      Mark<T>* below) {
    for (size_t i = 0; i < count; ++i) below[i] = 0;
    for (size_t j = 0; j < size; ++j) {
        const T threshold = thresholds[j];
        for (size_t i = 0; i < count; ++i)
            below[i] += (or_equal ? threshold <= values[i] : threshold < values[i]) ? 1 : 0;
    }
}

template <class T>
void count_below(const T* thresholds, size_t size, bool or_equal, const T* values, size_t count,
                 Mark<T>* below) {
    for (size_t begin = 0; begin < count; begin += extremes_part) {
        const size_t part = count - begin < extremes_part ? count - begin : extremes_part;
        if (or_equal)
            count_part_below<true>(thresholds, size, values + begin, part, below + begin);
        else
            count_part_below<false>(thresholds, size, values + begin, part, below + begin);
    }
}

/// The greatest and the least distance of a part; poison is NaN where a product is not finite.
template <class T>
struct PartExtremes {
    T farthest, nearest, poison;
};

template <class T>
PartExtremes<T> extremes_of_part(const T* products, const T* distances, const Mark<T>* marks,
                                 size_t count) {
    constexpr T infinity = static_cast<T>(__builtin_inf());
    T farthest[logistic_lanes], nearest[logistic_lanes], poison[logistic_lanes] = {};
    for (size_t lane = 0; lane < logistic_lanes; ++lane) {
        farthest[lane] = -infinity;
        nearest[lane] = infinity;
    }
    in_lanes(count, [&](size_t i, size_t lane) {
        const T far = marks[i] == 1 ? distances[i] : -infinity;
        const T near = marks[i] == 0 ? distances[i] : infinity;
        farthest[lane] = far > farthest[lane] ? far : farthest[lane];
        nearest[lane] = near < nearest[lane] ? near : nearest[lane];
        poison[lane] += products[i] * 0;
    });
    PartExtremes<T> found{-infinity, infinity, 0};
    for (size_t lane = 0; lane < logistic_lanes; ++lane) {
        found.farthest = farthest[lane] > found.farthest ? farthest[lane] : found.farthest;
        found.nearest = nearest[lane] < found.nearest ? nearest[lane] : found.nearest;
        found.poison += poison[lane];
    }
    return found;
}

template <bool squared, class T>
Extremes<T> extremes_of(const DistanceRow<T>& row, const Mark<T>* marks, size_t count) {
    constexpr T infinity = static_cast<T>(__builtin_inf());
    Extremes<T> found{-infinity, infinity, -1, -1, 0, 0, true};
    T distances[extremes_part];
    const auto first_of = [&](Mark<T> mark, T distance, size_t begin) {
        size_t i = 0;
        while (marks[begin + i] != mark || distances[i] != distance) ++i;
        return static_cast<int64_t>(begin + i);
    };
    for (size_t begin = 0; begin < count; begin += extremes_part) {
        const size_t size = count - begin < extremes_part ? count - begin : extremes_part;
        const T* products = row.products + begin;
        for (size_t i = 0; i < size; ++i) {
            const T apart =
                squared ? row.own_square + row.squares[begin + i] - 2 * products[i] : -products[i];
            distances[i] = squared && !(apart > 0) ? T{0} : apart;
        }
        Mark<T> ones = 0, zeros = 0;
        for (size_t i = 0; i < size; ++i) {
            ones += marks[begin + i] == 1 ? 1 : 0;
            zeros += marks[begin + i] == 0 ? 1 : 0;
        }
        found.ones += ones;
        found.zeros += zeros;
        const PartExtremes<T> part = extremes_of_part(products, distances, marks + begin, size);
        found.finite = found.finite && part.poison == 0;
        if (!found.finite) return found;
        if (part.farthest > found.farthest) {
            found.farthest = part.farthest;
            found.farthest_at = first_of(1, part.farthest, begin);
        }
        if (part.nearest < found.nearest) {
            found.nearest = part.nearest;
            found.nearest_at = first_of(0, part.nearest, begin);
        }
    }
    return found;
}

template <class T>
Extremes<T> extremes(const DistanceRow<T>& row, const Mark<T>* marks, size_t count) {
    return row.squares == nullptr ? extremes_of<false>(row, marks, count)
                                  : extremes_of<true>(row, marks, count);
}

}  // namespace
}  // namespace hashcore
