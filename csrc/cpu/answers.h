// From a request to results, whatever finds the hits.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "cpu/collectors.h"
#include "cpu/segment_query.h"
#include "hashcore/search.h"

namespace hashcore {

/// Takes a query's hits, ascending, from any thread.
using EmitHits = std::function<void(int64_t query, const std::vector<Hit>& hits)>;

/// Finds what a request asks for and hands every query to the emitter once.
using FindHits = std::function<void(const Request& request, const EmitHits& emit)>;

/// `codes` of `bits` bits are searched.
void answer_knn(const SegmentQuery& query, int64_t bits, int64_t codes, int64_t k,
                std::optional<int64_t> max_distance, const FindHits& find, KnnOutput out);

RangeOutput answer_range(const SegmentQuery& query, int64_t bits, int64_t codes, int64_t radius,
                         std::optional<int64_t> max_results, const FindHits& find);

}  // namespace hashcore
