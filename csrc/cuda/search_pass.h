// What scans and selection agree on: codes in tiles, and one pass of queries over them.
#pragma once
#include <cstdint>

#include "core/anywhere.h"
#include "cuda/launch.h"

namespace hashcore::cuda {

// A hit as one number, which orders hits as results are ordered: by distance, then by position.
// Positions number codes by ascending id.
inline constexpr int position_bits = 47;
inline constexpr int64_t max_position = (int64_t{1} << position_bits) - 1;

HASHCORE_ANYWHERE constexpr uint64_t hit_key(int64_t distance, int64_t position) {
    return static_cast<uint64_t>(distance) << position_bits | static_cast<uint64_t>(position);
}
HASHCORE_ANYWHERE constexpr int64_t hit_distance(uint64_t key) {
    return static_cast<int64_t>(key >> position_bits);
}
HASHCORE_ANYWHERE constexpr int64_t hit_position(uint64_t key) {
    return static_cast<int64_t>(key & static_cast<uint64_t>(max_position));
}
/// The least distance of which no key lies below `limit`: compare it first, then the key.
HASHCORE_ANYWHERE constexpr int64_t distance_limit(uint64_t limit) {
    return hit_distance(limit) + (hit_position(limit) != 0 ? 1 : 0);
}
/// Above every key.
inline constexpr uint64_t no_limit = ~uint64_t{0};

inline constexpr int64_t tile_codes = 256;

/// A code is cut into chunks of 8 bytes up to 64 bits, of 16 above; what the last one lacks is 0.
HASHCORE_ANYWHERE constexpr int64_t chunk_bytes(int64_t bits) {
    return bits <= 64 ? 8 : 16;
}
HASHCORE_ANYWHERE constexpr int64_t chunks_per_code(int64_t bits) {
    return bits <= 64 ? (bits + 63) / 64 : (bits + 127) / 128;  // no division by a variable
}
HASHCORE_ANYWHERE constexpr int64_t tiles_for(int64_t codes) {
    return (codes + tile_codes - 1) / tile_codes;
}
HASHCORE_ANYWHERE constexpr int64_t tile_bytes(int64_t bits) {
    return tile_codes * chunks_per_code(bits) * chunk_bytes(bits);
}

/// Codes on a device. Slot s is place s % 256 of tile s / 256.
struct TileView {
    const uint8_t* data;  ///< [tiles][chunks][256][chunk_bytes], aligned to 256 bytes
    int64_t codes;        ///< slots from here to the end of the last tile are no hits
    int64_t bits;
    int64_t first_position;  ///< of slot 0; slot s has first_position + s
    const uint32_t*
        allowed;  ///< bit s % 32 of word s / 32 says whether slot s may be a hit; or null
    const uint64_t* labels;  ///< [codes, label_words] sets of classes, or null
    int64_t label_words;     ///< 0: labels are one class each, [codes]
};

/// Queries come in groups, which blocks of threads take without asking which of them are there.
inline constexpr int64_t query_group = 64;

/// Queries on a device: rows [count][chunks_per_code * chunk_bytes], aligned to 256 bytes; what a
/// code lacks is 0. Behind them is memory for query_group rows more, of no matter what.
struct QueryView {
    const uint8_t* data;
    int64_t count;
    const uint64_t* labels;  ///< [count, label_words] where the tiles have labels
};

/// Where hits go. Query q has keys[begin[q], begin[q + 1]); counts[q] grows by one a hit, also
/// where there is no room left: a count above the room says that the row is not whole. Rows may be
/// empty, which counts.
struct HitRows {
    uint64_t* keys;
    const int64_t* begin;        ///< [Q + 1]
    unsigned long long* counts;  ///< [Q] where the next hit goes; not always 0 at the start
};

/// Where keys are counted: key at least lows[q] in bin (key - lows[q]) >> shift of [Q, bins], or,
/// where the tiles have labels, in bin 2 * that + (the two share a class). Keys below lows[q] count
/// nowhere. lows is null for all 0; the limits keep keys within the bins.
struct KeyBins {
    unsigned long long* counts;
    const uint64_t* lows;
    int shift;
    int64_t bins;
};

/// Every query against every step-th of the tiles [first_tile, end_tile): keys below limits[q] are
/// kept in hits, or counted in bins. A limit of 0 leaves a query out, and where all have that, a
/// pass costs nothing.
struct SearchPass {
    TileView tiles;
    int64_t first_tile, end_tile, tile_step;
    QueryView queries;
    const uint64_t* limits;  ///< [Q]
    HitRows hits;            ///< read where bins.counts is null
    KeyBins bins;
};

/// Any pass over any width, on any architecture.
void scan_popc(const SearchPass& pass, const Stream& stream);

/// Passes that keep hits, on the binary tensor core of sm_90a.
void scan_b1(const SearchPass& pass, const Stream& stream);

}  // namespace hashcore::cuda
