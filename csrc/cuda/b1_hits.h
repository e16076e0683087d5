// What the tensor core found near, measured again: products are bounds, hits are exact.
#pragma once
#include "cuda/hamming.h"
#include "cuda/search_pass.h"

namespace hashcore::cuda::b1 {

HASHCORE_ANYWHERE inline int64_t words_of_query(int64_t bits) {
    return chunks_per_code(bits) * chunk_bytes(bits) / 4;
}
HASHCORE_ANYWHERE inline const uint32_t* row_of_query(const SearchPass& pass, int64_t query) {
    return reinterpret_cast<const uint32_t*>(pass.queries.data) +
           query * words_of_query(pass.tiles.bits);
}
HASHCORE_ANYWHERE inline int64_t tiles_of(const SearchPass& pass) {
    return (pass.end_tile - pass.first_tile + pass.tile_step - 1) / pass.tile_step;
}

HASHCORE_ANYWHERE inline int lowest_bit(uint64_t word) {
#ifdef __CUDA_ARCH__
    return __ffsll(static_cast<long long>(word)) - 1;
#else
    return __builtin_ctzll(word);
#endif
}

HASHCORE_ANYWHERE inline int weight_of(const uint32_t* words, int64_t count) {
    int weight = 0;
    for (int64_t w = 0; w < count; ++w) weight += ones_of(words[w]);
    return weight;
}

HASHCORE_ANYWHERE inline int64_t distance_of(const SearchPass& pass, int64_t slot, int64_t query) {
    const int64_t words = chunk_bytes(pass.tiles.bits) / 4;
    const int64_t chunks = chunks_per_code(pass.tiles.bits);
    const uint32_t* row = row_of_query(pass, query);
    const auto* code = reinterpret_cast<const uint32_t*>(
        pass.tiles.data + slot / tile_codes * tile_bytes(pass.tiles.bits) +
        slot % tile_codes * chunk_bytes(pass.tiles.bits));
    int64_t sum = 0;
    for (int64_t chunk = 0; chunk < chunks; ++chunk)
        for (int64_t w = 0; w < words; ++w)
            sum += ones_of(row[chunk * words + w] ^ code[chunk * tile_codes * words + w]);
    return sum;
}

#ifdef __CUDACC__
/// A code of which the product says that its key may be below the limit.
__device__ inline void keep_if_hit(const SearchPass& pass, int64_t slot, int64_t query) {
    const TileView& tiles = pass.tiles;
    if (slot >= tiles.codes) return;
    if (tiles.allowed != nullptr && (tiles.allowed[slot / 32] >> (slot % 32) & 1) == 0) return;
    const uint64_t key = hit_key(distance_of(pass, slot, query), tiles.first_position + slot);
    if (key >= pass.limits[query]) return;
    const unsigned long long place = atomicAdd(&pass.hits.counts[query], 1ULL);
    const int64_t begin = pass.hits.begin[query];
    if (place < static_cast<unsigned long long>(pass.hits.begin[query + 1] - begin))
        pass.hits.keys[begin + static_cast<int64_t>(place)] = key;
}
#endif

}  // namespace hashcore::cuda::b1
