#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "hashcore/codes.h"
#include "hashcore/runtime.h"

namespace hashcore {

/// Which codes may be hits. Ids that name no code change nothing.
struct Filter {
    enum class Kind { allow, deny, mask };
    Kind kind;
    const int64_t* ids;   ///< allow, deny: [count], any order
    const uint8_t* mask;  ///< mask: [count], one a code in ascending id order, non-zero allows
    int64_t count;
};

/// What every search takes besides its data.
struct SearchOptions {
    int threads = 0;                 ///< 0: num_threads()
    Monitor* monitor = nullptr;      ///< may be null
    const Filter* filter = nullptr;  ///< null: every code
};

/// Top-k hits in ascending (distance, id); rows of `k` entries.
/// Missing hits stand at the tail with id -1 and distance bits + 1.
struct KnnOutput {
    int32_t* distances;  ///< [queries, k]
    int64_t* ids;        ///< [queries, k]
    int64_t* counts;     ///< [queries] hits found
};

/// Hits of query q are [lims[q], lims[q + 1]), ascending (distance, id).
struct RangeOutput {
    std::vector<int64_t> lims;
    std::vector<int32_t> distances;
    std::vector<int64_t> ids;
};

/// `max_distance` is inclusive.
void knn(CodesView database, CodesView queries, int64_t k, std::optional<int64_t> max_distance,
         const SearchOptions& options, KnnOutput out);

/// Everything within `radius` (inclusive); at most the `max_results` best of each query.
RangeOutput range_search(CodesView database, CodesView queries, int64_t radius,
                         std::optional<int64_t> max_results, const SearchOptions& options);

/// `out` is [a.count, b.count].
void pairwise(CodesView a, CodesView b, const SearchOptions& options, int32_t* out);

/// `out` is [queries.count, bits + 1]: how many database codes lie at each distance.
void distance_histogram(CodesView database, CodesView queries, const SearchOptions& options,
                        int64_t* out);

}  // namespace hashcore
