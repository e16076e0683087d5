#include "metrics/tied_hits.h"

#include <array>
#include <cstring>

namespace hashcore {
namespace {

/// The set bits of every byte, lowest first.
struct SetBits {
    std::array<std::array<uint16_t, 8>, 256> positions{};
    std::array<uint8_t, 256> count{};
};

constexpr SetBits list_set_bits() {
    SetBits bits;
    for (size_t byte = 0; byte < 256; ++byte)
        for (uint16_t bit = 0; bit < 8; ++bit)
            if ((byte >> bit & 1) != 0) bits.positions[byte][bits.count[byte]++] = bit;
    return bits;
}

constexpr SetBits set_bits = list_set_bits();

/// Writes the positions of the mask's set bits; returns their number. Up to eight values past them
/// are overwritten.
int64_t list_positions(const uint64_t* mask, int64_t count, uint16_t* positions) {
    int64_t found = 0;
    for (int64_t first = 0; first < count; first += 8) {
        const size_t byte = mask[first / mask_items] >> first % mask_items & 0xff;
        std::array<uint16_t, 8> eight = set_bits.positions[byte];
        for (uint16_t& position : eight) position = static_cast<uint16_t>(position + first);
        std::memcpy(positions + found, eight.data(), sizeof eight);
        found += set_bits.count[byte];
    }
    return found;
}

}  // namespace

Hits HitFinder::find(const TilePairs& tile, TieCount* ties, TiedHit* hits, uint16_t* offsets) {
    const uint32_t* distances = tile.distances;
    int64_t* places = places_.data();
    const int64_t pairs = tile.count / 2;
    for (int64_t i = 0; i < 2 * pairs; i += 2) {  // stores to one line follow each other
        const int64_t first = ++ties[distances[i]].items;
        const int64_t second = ++ties[distances[i + 1]].items;
        places[i] = first;
        places[i + 1] = second;
    }
    if (tile.count % 2 != 0) places[tile.count - 1] = ++ties[distances[tile.count - 1]].items;

    const int64_t found = list_positions(tile.relevant, tile.count, offsets);
    for (int64_t i = 0; i < found; ++i) {
        const size_t offset = offsets[i];
        const uint32_t distance = distances[offset];
        ++ties[distance].hits;
        hits[i] = make_hit(distance, static_cast<uint64_t>(places[offset]));
    }
    return {tile.first, found, hits, offsets};
}

}  // namespace hashcore
