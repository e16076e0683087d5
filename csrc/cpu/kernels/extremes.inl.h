// The greatest and the least of many distances, by lanes as in logistic.inl.h.
#pragma once
#include <cstddef>
#include <cstdint>

#include "cpu/kernels/logistic.inl.h"

namespace hashcore {
namespace {

template <class T>
Extremes<T> extremes(const T* values, const uint8_t* kinds, size_t count) {
    constexpr T infinity = static_cast<T>(__builtin_inf());
    T farthest[logistic_lanes];
    T nearest[logistic_lanes];
    for (size_t lane = 0; lane < logistic_lanes; ++lane) {
        farthest[lane] = -infinity;
        nearest[lane] = infinity;
    }
    in_lanes(count, [&](size_t i, size_t lane) {
        const T far = kinds[i] == 1 ? values[i] : -infinity;
        const T near = kinds[i] == 0 ? values[i] : infinity;
        farthest[lane] = far > farthest[lane] ? far : farthest[lane];
        nearest[lane] = near < nearest[lane] ? near : nearest[lane];
    });
    Extremes<T> found{-infinity, infinity};
    for (const T lane : farthest) found.farthest = lane > found.farthest ? lane : found.farthest;
    for (const T lane : nearest) found.nearest = lane < found.nearest ? lane : found.nearest;
    return found;
}

}  // namespace
}  // namespace hashcore
