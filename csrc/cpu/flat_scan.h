// Exhaustive search over any code source: the one driver behind knn(), range_search() and the
// flat index.
#pragma once
#include <cstdint>
#include <optional>

#include "cpu/tiles.h"
#include "hashcore/search.h"

namespace hashcore {

/// `ids` [source.count()] ascend and name the codes; null means that a position is its own id.
void flat_knn(const CodeSource& source, const int64_t* ids, CodesView queries, int64_t k,
              std::optional<int64_t> max_distance, const SearchOptions& options, KnnOutput out);

RangeOutput flat_range_search(const CodeSource& source, const int64_t* ids, CodesView queries,
                              int64_t radius, std::optional<int64_t> max_results,
                              const SearchOptions& options);

}  // namespace hashcore
