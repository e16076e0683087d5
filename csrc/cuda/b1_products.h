// What a warpgroup does with products of its queries and the codes of a tile.
#pragma once
#include <cuda_runtime.h>

#include "cuda/b1_hits.h"
#include "cuda/b1_layout.h"
#include "cuda/hopper.h"

namespace hashcore::cuda::b1 {

/// 64 queries of a warpgroup as a thread has them: words of products, of two rows.
template <int products, bool complemented>
struct Queries {
    int first;  ///< of the 64
    uint32_t words[products][4];
    int bounds[2];

    __device__ void load_words(const SearchPass& pass, int thread, int64_t first_product) {
        const int64_t count = words_of_query(pass.tiles.bits);
#pragma unroll
        for (int p = 0; p < products; ++p)
#pragma unroll
            for (int r = 0; r < 4; ++r) {
                const int64_t query = first + row_of(thread, r % 2);
                words[p][r] = query < pass.queries.count
                                  ? query_word(row_of_query(pass, query), count, complemented,
                                               first_product + p, word_of(thread, r))
                                  : 0;
            }
    }
    __device__ void load_bounds(const SearchPass& pass, int thread) {
        const int64_t count = words_of_query(pass.tiles.bits);
#pragma unroll
        for (int which = 0; which < 2; ++which) {
            const int64_t query = first + row_of(thread, which);
            if (query >= pass.queries.count) {
                bounds[which] = out_of_reach;
                continue;
            }
            const int weight = complemented ? 0 : weight_of(row_of_query(pass, query), count);
            bounds[which] = bound_for(pass.limits[query], 32 * count, complemented, weight);
        }
    }
};

/// The largest product of each row, or product with a weight, without asking which it is. Two
/// maxima a row, so that no instruction waits for the one before.
template <bool complemented>
__device__ void largest(const int (&d)[products_a_thread], const hopper::Piece* weights,
                        int (&best)[2]) {
    if constexpr (complemented) {
        int most[2][2] = {};
#pragma unroll
        for (int i = 0; i < products_a_thread; i += 2)
            most[i / 2 % 2][i / 4 % 2] =
                hopper::max_of_three(d[i], d[i + 1], most[i / 2 % 2][i / 4 % 2]);
        best[0] = most[0][0] > most[0][1] ? most[0][0] : most[0][1];
        best[1] = most[1][0] > most[1][1] ? most[1][0] : most[1][1];
    } else {
        constexpr uint32_t least = 0x80008000U;
        uint32_t most[2][2] = {{least, least}, {least, least}};
#pragma unroll
        for (int i = 0; i < products_a_thread; i += 16) {
            const hopper::Piece of_columns = weights[i / 16];
#pragma unroll
            for (int j = 0; j < 8; ++j) {
                const int at = i + 2 * j;
                const auto packed =
                    static_cast<uint32_t>(d[at]) + 65536U * static_cast<uint32_t>(d[at + 1]);
                most[j % 2][j / 2 % 2] =
                    hopper::max_of_sums(packed, of_columns.words[j / 2], most[j % 2][j / 2 % 2]);
            }
        }
#pragma unroll
        for (int which = 0; which < 2; ++which) {
            const uint32_t both = hopper::max_of_sums(most[which][0], 0, most[which][1]);
            const int low = static_cast<int16_t>(both & 0xFFFFU);
            const int high = static_cast<int16_t>(both >> 16);
            best[which] = low > high ? low : high;
        }
    }
}

/// Which of the 64 products of a row reach the bound.
template <bool complemented>
__device__ uint64_t reaching(const int (&d)[products_a_thread], const hopper::Piece* weights,
                             int which, int bound) {
    uint32_t near[2] = {0, 0};
#pragma unroll
    for (int i = 0; i < products_a_thread / 2; i += 8) {
        hopper::Piece of_columns{};
        if constexpr (!complemented) of_columns = weights[i / 8];
#pragma unroll
        for (int j = 0; j < 8; ++j) {
            const uint32_t pair = of_columns.words[j / 2];
            const int weight = static_cast<int16_t>((j % 2 == 0 ? pair : pair >> 16) & 0xFFFFU);
            const bool reaches = d[product_of(which, i + j)] + weight >= bound;
            near[i / 32] |= (reaches ? 1U : 0U) << (i + j) % 32;
        }
    }
    return near[0] | uint64_t{near[1]} << 32;
}

/// Keeps the hits of a tile: rare, and so short of code rather than quick.
template <int products, bool complemented>
__device__ void keep_hits(const SearchPass& pass, const Queries<products, complemented>& queries,
                          const int (&d)[products_a_thread], const hopper::Piece* weights,
                          int64_t tile, int thread) {
    uint64_t near[2];
#pragma unroll
    for (int which = 0; which < 2; ++which)
        near[which] = reaching<complemented>(d, weights, which, queries.bounds[which]);
#pragma unroll 1
    for (int which = 0; which < 2; ++which) {
        const int query = queries.first + row_of(thread, which);
        uint64_t left = which == 0 ? near[0] : near[1];
#pragma unroll 1
        for (; left != 0; left &= left - 1) {
            const int of_row = lowest_bit(left);
            keep_if_hit(pass, tile * tile_codes + column_of(thread, of_row), query);
        }
    }
}

}  // namespace hashcore::cuda::b1
