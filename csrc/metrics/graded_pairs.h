// Distance and grade of every query-item pair, tile by tile.
#pragma once
#include <algorithm>
#include <vector>

#include "cpu/dispatch.h"
#include "cpu/tiles.h"
#include "hashcore/metrics.h"

namespace hashcore {

/// The grade of two sets comes from the distance kernel too: |a & b| = (|a| + |b| - |a ^ b|) / 2.
class GradedPairs {
 public:
    /// Grades above `grade_limit` count as `grade_limit`; 1 leaves relevant or not.
    GradedPairs(const LabelledCodes& queries, const LabelledCodes& database, uint32_t grade_limit);

    int64_t query_count() const { return query_count_; }
    int64_t code_count() const { return codes_.count(); }
    int64_t bits() const { return codes_.bits(); }
    /// The largest grade that any pair can have, `grade_limit` at most.
    uint32_t max_grade() const { return max_grade_; }

    /// Calls visit(query, distances, grades, count) for queries [first, first + count) and every
    /// tile; tiles ascend by item. The arrays are overwritten by the next call.
    template <class Visit>
    void visit(int64_t first_query, int64_t query_count, Monitor* monitor,
               const Visit& visit_tile) const {
        const int64_t step = tile_items();
        Tile tile(step);
        for (int64_t first = 0; first < code_count(); first += step) {
            const int64_t count = std::min(step, code_count() - first);
            load(first, count, tile);
            for (int64_t q = first_query; q < first_query + query_count; ++q) {
                compare(q, tile);
                visit_tile(q, tile.distances.data(), tile.grades.data(), count);
            }
            if (monitor != nullptr) monitor->advance(count * query_count);
        }
    }

 private:
    struct Tile {
        explicit Tile(int64_t items)
            : distances(static_cast<size_t>(items)),
              grades(static_cast<size_t>(items)),
              set_sizes(static_cast<size_t>(items)) {}

        int64_t first = 0, count = 0;
        const uint64_t* codes = nullptr;
        const uint64_t* sets = nullptr;
        std::vector<uint32_t> distances, grades, set_sizes;
        WordBuffer code_scratch, set_scratch;
    };

    int64_t tile_items() const;
    void load(int64_t first, int64_t count, Tile& tile) const;
    void compare(int64_t query, Tile& tile) const;

    const KernelTable& table_;
    int64_t query_count_;
    uint32_t max_grade_;
    CodeSource codes_;
    std::vector<uint64_t> query_words_;
    const uint32_t* query_ids_;
    const uint32_t* item_ids_;
    CodeSource sets_;
    std::vector<uint64_t> query_sets_;
    std::vector<uint32_t> query_set_sizes_;
    std::vector<uint64_t> empty_set_;
};

}  // namespace hashcore
