#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "hashcore/search.h"

namespace hashcore {

/// Rows of hits that a KnnOutput writes to.
class KnnRows {
 public:
    KnnRows(int64_t queries, int64_t k);

    int64_t k() const { return k_; }
    KnnOutput out() { return {distances_.data(), ids_.data(), counts_.data()}; }

 private:
    int64_t k_;
    std::vector<int32_t> distances_;
    std::vector<int64_t> ids_, counts_;
};

/// Adds hits of other codes, rows of `more_k`, to rows of `k`.
void merge_knn(KnnOutput rows, int64_t k, KnnOutput more, int64_t more_k, int64_t queries);

/// The hits of both, at most `max_results` a query.
RangeOutput merge_range(const RangeOutput& a, const RangeOutput& b,
                        std::optional<int64_t> max_results);

}  // namespace hashcore
