// Exact search of a multi-index hash.
#pragma once
#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "cpu/answers.h"
#include "cpu/kernel_table.h"
#include "cpu/segment_query.h"
#include "cpu/tiles.h"
#include "hashcore/search.h"
#include "mih/tables.h"

namespace hashcore {

class MihWalk;

/// Searches tables. Its answers never depend on how they were planned.
class MihSearcher {
 public:
    explicit MihSearcher(const MihTables& tables);

    void knn(const SegmentQuery& query, int64_t k, std::optional<int64_t> max_distance,
             KnnOutput out) const;
    RangeOutput range_search(const SegmentQuery& query, int64_t radius,
                             std::optional<int64_t> max_results) const;

    /// What searches have done so far.
    struct Counters {
        std::atomic<int64_t> queries{0};
        std::atomic<int64_t> lookups{0};     ///< keys looked up
        std::atomic<int64_t> candidates{0};  ///< entries compared
        std::atomic<int64_t> scans{0};       ///< queries that a scan of all codes answered
    };
    const Counters& counters() const { return counters_; }

    const MihTables& tables() const { return tables_; }

    /// The bits of table `of`'s key in the words that table `in` compares with a query: the words
    /// of a code, or the rest that the key of `in` leaves.
    const std::vector<WordMask>& key_mask(size_t of, size_t in) const {
        return key_masks_[of * tables_.tables.size() + in];
    }

 private:
    void find(const SegmentQuery& query, const Request& request, const EmitHits& emit) const;
    std::vector<int64_t> walk_all(const SegmentQuery& query, const std::vector<int64_t>& queries,
                                  const Request& request, const EmitHits& emit) const;
    void scan(const CodeSource& codes, const SegmentQuery& query,
              const std::vector<int64_t>& queries, const Request& request,
              const EmitHits& emit) const;
    void scan_entries(const SegmentQuery& query, int64_t q, const Request& request,
                      const EmitHits& emit) const;

    void count(const MihWalk& walk) const;

    const MihTables& tables_;
    std::vector<std::vector<WordMask>> key_masks_;
    mutable Counters counters_;
};

}  // namespace hashcore
