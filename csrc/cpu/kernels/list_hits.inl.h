// The marked items of a tile, one after the other. A level offers list_hits itself: compressing
// lanes is one instruction at some and a table at others.
#pragma once
#include <cstddef>
#include <cstdint>

#include "cpu/kernel_table.h"

namespace hashcore {
namespace {

/// The set bits of every byte, lowest first.
struct SetBits {
    uint32_t positions[256][8];
    uint8_t count[256];
};

constexpr SetBits list_set_bits() {
    SetBits bits{};
    for (uint32_t byte = 0; byte < 256; ++byte)
        for (uint32_t bit = 0; bit < 8; ++bit)
            if ((byte >> bit & 1) != 0) bits.positions[byte][bits.count[byte]++] = bit;
    return bits;
}

constexpr SetBits set_bits = list_set_bits();

/// list_hits() where lanes cannot be moved by a mask: items first, then their distances.
inline size_t list_hits_by_item(const uint32_t* distances, const uint64_t* mask, size_t words,
                                TileHit* hits) {
    size_t count = 0;
    for (uint32_t first = 0; first < 64 * words; first += 8) {
        const size_t byte = mask[first / 64] >> first % 64 & 0xFF;
        for (size_t i = 0; i < 8; ++i) hits[count + i] = first + set_bits.positions[byte][i];
        count += set_bits.count[byte];
    }
    for (size_t i = 0; i < count; ++i) hits[i] = make_tile_hit(distances[hits[i]], hits[i]);
    return count;
}

}  // namespace
}  // namespace hashcore
