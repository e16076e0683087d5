// The relevant items of a tile, before anyone knows where the ranking puts them.
#pragma once
#include <cstdint>
#include <vector>

#include "cpu/kernel_table.h"
#include "metrics/graded_pairs.h"

namespace hashcore {

/// A relevant item as its distance and its place among the items at that distance, from 1 in row
/// order. It sorts by (distance, row).
using TiedHit = Hit;

/// Hits of a tile in row order.
struct Hits {
    int64_t first_item;  ///< of the tile
    int64_t count;
    const TiedHit* hits;
    const uint16_t* offsets;  ///< each hit's item, from first_item
};

/// What lies at one distance.
struct TieCount {
    int64_t items = 0, hits = 0;
};

/// Finds hits tile by tile. Free of branches on relevance, which is as good as random to the CPU.
class HitFinder {
 public:
    explicit HitFinder(int64_t tile_items) : places_(static_cast<size_t>(tile_items)) {}

    /// What `offsets` needs beyond the tile's items.
    static constexpr int64_t slack = 8;

    /// Counts the tile's items and hits into `ties` [bits + 1]; writes the hits.
    Hits find(const TilePairs& tile, TieCount* ties, TiedHit* hits, uint16_t* offsets);

 private:
    std::vector<int64_t> places_;  // [tile] of each item among those at its distance
};

}  // namespace hashcore
