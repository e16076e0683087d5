// The relevant items of a tile, before anyone knows where the ranking puts them.
#pragma once
#include <bit>
#include <cstdint>
#include <vector>

#include "cpu/kernel_table.h"
#include "metrics/graded_pairs.h"

namespace hashcore {

/// A relevant item: its distance, its number in the tile, and its place among the items at that
/// distance, from 1 in row order. It sorts by (distance, row) within a tile.
using TiedHit = uint64_t;
inline constexpr unsigned place_bits = 37;
static_assert(std::bit_width(uint64_t{max_bits} + 1) + tile_item_bits + place_bits <= 64);

constexpr TiedHit make_tied_hit(TileHit hit, uint64_t place) {
    return uint64_t{hit} << place_bits | place;
}
constexpr TileHit tile_hit(TiedHit hit) {
    return static_cast<TileHit>(hit >> place_bits);
}
constexpr uint64_t tied_place(TiedHit hit) {
    return hit & ((uint64_t{1} << place_bits) - 1);
}

/// Hits of a tile in row order.
struct Hits {
    int64_t first_item;  ///< of the tile
    int64_t count;
    const TiedHit* hits;
};

/// What lies at each distance [bits + 1].
struct TieCounts {
    int64_t *items, *hits;
};

/// Finds hits tile by tile. Free of branches on relevance, which is as good as random to the CPU.
class HitFinder {
 public:
    explicit HitFinder(const GradedPairs& pairs)
        : table_(pairs.table()),
          places_(static_cast<size_t>(pairs.tile_items())),
          listed_(places_.size()) {}

    /// Counts the tile's items and hits into `ties`; writes the hits.
    Hits find(const TilePairs& tile, TieCounts ties, TiedHit* hits);

 private:
    const KernelTable& table_;
    std::vector<int64_t> places_;  // [tile] of each item among those at its distance
    std::vector<TileHit> listed_;  // [tile]
};

}  // namespace hashcore
