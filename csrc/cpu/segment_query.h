#pragma once
#include <cstdint>

#include "cpu/allowed.h"
#include "hashcore/codes.h"
#include "hashcore/runtime.h"

namespace hashcore {

/// What a search asks of codes in ascending id order: a position is a rank, so that (distance,
/// position) order is (distance, id) order.
struct SegmentQuery {
    CodesView queries;
    const AllowedCodes* allowed;  ///< by position; null: every code may be a hit
    const int64_t* ids;           ///< by position, ascending; null: a position is its own id
    int threads;                  ///< 0: num_threads()
    Monitor* monitor;             ///< may be null; begun, and finished, by the caller
};

}  // namespace hashcore
