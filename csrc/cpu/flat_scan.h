// Exhaustive search over any code source: the one driver behind knn(), range_search() and the
// flat segments of an index.
#pragma once
#include <cstdint>
#include <optional>

#include "cpu/answers.h"
#include "cpu/segment_query.h"
#include "cpu/tiles.h"
#include "hashcore/search.h"

namespace hashcore {

/// Every query's hits. Where `request.positions` are given, `query.allowed` is null.
void flat_hits(const CodeSource& source, const SegmentQuery& query, const Request& request,
               const EmitHits& emit);

void flat_knn(const CodeSource& source, const SegmentQuery& query, int64_t k,
              std::optional<int64_t> max_distance, KnnOutput out);

RangeOutput flat_range_search(const CodeSource& source, const SegmentQuery& query, int64_t radius,
                              std::optional<int64_t> max_results);

}  // namespace hashcore
