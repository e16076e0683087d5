// Distance and relevance of every query-item pair, tile by tile.
#pragma once
#include <algorithm>
#include <vector>

#include "cpu/dispatch.h"
#include "cpu/tiles.h"
#include "hashcore/metrics.h"
#include "metrics/relevance.h"

namespace hashcore {

/// One query's pairs with the items [first, first + count).
struct TilePairs {
    int64_t first, count;
    const uint32_t* distances;  ///< [count]
    const uint64_t* relevant;   ///< a bit an item; bits past the end are 0
};

class GradedPairs {
 public:
    /// Without `graded`, every relevant pair has grade 1.
    GradedPairs(const LabelledCodes& queries, const LabelledCodes& database, bool graded)
        : table_(kernels()),
          query_count_(queries.codes.count),
          codes_(CodeSource::rows(database.codes)),
          query_words_(row_words(queries.codes)),
          relevance_(queries, database, graded) {}

    const KernelTable& table() const { return table_; }
    int64_t query_count() const { return query_count_; }
    int64_t code_count() const { return codes_.count(); }
    int64_t bits() const { return codes_.bits(); }
    const Relevance& relevance() const { return relevance_; }

    /// The most items of a tile. They and what is known of them stay in the first-level cache.
    int64_t tile_items() const {
        constexpr int64_t most = int64_t{1} << tile_item_bits;
        return std::clamp(codes_.tile_codes() / mask_items * mask_items, mask_items, most);
    }

    /// Calls visit_tile(query, pairs) for queries [first, first + count) and every tile; tiles
    /// ascend by item. The arrays are overwritten by the next call.
    template <class Visit>
    void visit(int64_t first_query, int64_t query_count, Monitor* monitor,
               const Visit& visit_tile) const {
        const int64_t step = tile_items();
        std::vector<uint32_t> distances(static_cast<size_t>(step));
        std::vector<uint64_t> relevant(static_cast<size_t>(step / mask_items));
        WordBuffer scratch;
        for (int64_t first = 0; first < code_count(); first += step) {
            const int64_t count = std::min(step, code_count() - first);
            const uint64_t* blocks = codes_.tile(first, count, scratch);
            for (int64_t q = first_query; q < first_query + query_count; ++q) {
                table_.distances(blocks, static_cast<size_t>(blocks_for(count)),
                                 static_cast<size_t>(codes_.words()),
                                 query_words_.data() + q * codes_.words(), distances.data());
                relevance_.mask(q, first, count, relevant.data());
                visit_tile(q, TilePairs{first, count, distances.data(), relevant.data()});
            }
            if (monitor != nullptr) monitor->advance(count * query_count);
        }
    }

 private:
    const KernelTable& table_;
    int64_t query_count_;
    CodeSource codes_;
    std::vector<uint64_t> query_words_;
    Relevance relevance_;
};

}  // namespace hashcore
