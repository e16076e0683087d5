// Streaming read bandwidth.
#pragma once
#include <cstddef>
#include <vector>

#include "level.h"

namespace hashcore::limits {

struct Read {
    size_t threads;
    double bytes_per_second;
};

/// Sums a buffer of `bytes` with 1, 2, 4, .. and all threads, each its own part; best of `rounds`.
std::vector<Read> measure_reads(const Level& level, size_t bytes, int rounds);

}  // namespace hashcore::limits
