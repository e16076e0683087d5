#include "metrics/tied_hits.h"

namespace hashcore {

Hits HitFinder::find(const TilePairs& tile, TieCounts ties, TiedHit* hits) {
    const uint32_t* distances = tile.distances;
    int64_t* places = places_.data();
    const int64_t pairs = tile.count / 2;
    for (int64_t i = 0; i < 2 * pairs; i += 2) {  // stores to one line follow each other
        const int64_t first = ++ties.items[distances[i]];
        const int64_t second = ++ties.items[distances[i + 1]];
        places[i] = first;
        places[i + 1] = second;
    }
    if (tile.count % 2 != 0) places[tile.count - 1] = ++ties.items[distances[tile.count - 1]];

    TileHit* listed = listed_.data();
    const auto words = static_cast<size_t>((tile.count + mask_items - 1) / mask_items);
    const size_t found = table_.list_hits(distances, tile.relevant, words, listed);
    const auto tied = [&](TileHit hit) {
        return make_tied_hit(hit, static_cast<uint64_t>(places[tile_hit_item(hit)]));
    };
    size_t i = 0;
    for (; i + 2 <= found; i += 2) {  // and here
        ++ties.hits[tile_hit_distance(listed[i])];
        ++ties.hits[tile_hit_distance(listed[i + 1])];
        const TiedHit first = tied(listed[i]);
        const TiedHit second = tied(listed[i + 1]);
        hits[i] = first;
        hits[i + 1] = second;
    }
    if (i < found) {
        ++ties.hits[tile_hit_distance(listed[i])];
        hits[i] = tied(listed[i]);
    }
    return {tile.first, static_cast<int64_t>(found), hits};
}

}  // namespace hashcore
