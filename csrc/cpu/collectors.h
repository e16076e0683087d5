#pragma once
#include <cstdint>
#include <vector>

#include "cpu/kernel_table.h"
#include "cpu/tiles.h"

namespace hashcore {

/// What every query of one search asks for.
struct Request {
    uint32_t limit;  ///< take distance < limit
    int64_t k;       ///< keep the k best, or all when `keep_all`
    bool keep_all;
    int64_t bits;
    /// The position of each code that is scanned, where codes do not stand in position order.
    const uint32_t* positions = nullptr;
};

/// The collectors of one pass: a selection for each of its queries.
class GroupCollectors {
 public:
    GroupCollectors(const Request& request, int64_t query_count);

    Collector* data() { return collectors_.data(); }
    const Collector& operator[](int64_t query) const {
        return collectors_[static_cast<size_t>(query)];
    }

    /// Forgets the hits of a query and takes every distance below `limit`.
    void restart(int64_t query, uint32_t limit);

    /// Whether a query has all hits that its request asks for, had its limit been `limit`.
    bool complete_below(int64_t query, uint32_t limit) const;

    void append_to(int64_t query, std::vector<Hit>& hits) const;

    /// Where a collector's hits are.
    struct Storage {
        WordBuffer hits;
        const uint32_t* positions;
    };

 private:
    std::vector<Storage> storage_;
    std::vector<Collector> collectors_;
    std::vector<uint32_t> histograms_;
    size_t buckets_;
};

/// Sorts hits that ascend by position into ascending (distance, position).
void sort_hits(std::vector<Hit>& hits, int64_t bits);

}  // namespace hashcore
