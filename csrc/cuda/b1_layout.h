// How the binary tensor core finds common bits of 64 queries and 256 codes: which thread holds
// what, where codes stand in shared memory, and what a product says about a distance.
//
// There is no exclusive or on it. Up to 128 bits a product takes (code, its complement) with
// (query, its complement) and counts equal bits, which leaves distance = bits - product. Above,
// distance = |q| + |b| - 2 product; the weights |b| come in as 16-bit numbers when products are
// compared: two products are packed by a multiplication, and one instruction adds the weights and
// keeps the larger, for the price of comparing products alone. So codes need no order by weight,
// and stay where their positions are.
#pragma once
#include <cstdint>

#include "cuda/search_pass.h"

namespace hashcore::cuda::b1 {

inline constexpr int group_queries = 64;
inline constexpr int group_threads = 128;
inline constexpr int products_a_thread = 128;
inline constexpr int product_bits = 256;
inline constexpr int product_words = product_bits / 32;

// Thread t of 128 holds two rows of queries, and of each row the products with 64 columns: product
// i of 128 is of row i / 2 % 2 and of its column i / 4 * 2 + i % 2.
HASHCORE_ANYWHERE constexpr int row_of(int thread, int which) {
    return thread / 32 * 16 + thread % 32 / 4 + 8 * which;
}
HASHCORE_ANYWHERE constexpr int column_of(int thread, int of_row) {
    return of_row / 2 * 8 + thread % 4 * 2 + of_row % 2;
}
HASHCORE_ANYWHERE constexpr int product_of(int which, int of_row) {
    return of_row / 2 * 4 + which * 2 + of_row % 2;
}
/// Register r of 4 holds, of row r % 2, this word of 8.
HASHCORE_ANYWHERE constexpr int word_of(int thread, int r) {
    return thread % 4 + r / 2 * 4;
}

/// Where a product finds 256 codes: 16 bytes of every code after the other, the next 16 bytes of
/// all of them `next_bytes` behind. No swizzling; 8 codes are 128 bytes.
HASHCORE_ANYWHERE constexpr uint64_t operand(uint32_t shared_address, uint32_t next_bytes) {
    constexpr uint64_t next_eight_codes = 128;
    return (shared_address & 0x3FFFFU) >> 4 | uint64_t{next_bytes >> 4} << 16 |
           (next_eight_codes >> 4) << 32;
}

/// Whether equal bits are counted, by complements.
HASHCORE_ANYWHERE constexpr bool is_complemented(int64_t bits) {
    return bits <= product_bits / 2;
}
/// Products that a code takes.
HASHCORE_ANYWHERE constexpr int64_t products_for(int64_t bits) {
    return (bits + product_bits - 1) / product_bits;
}
/// Sums of products and weights are 16-bit numbers.
inline constexpr int64_t most_bits = 16384;

/// Word 0..7 of product p of a query of `words` words.
HASHCORE_ANYWHERE inline uint32_t query_word(const uint32_t* query, int64_t words,
                                             bool complemented, int64_t p, int word) {
    const int64_t at = p * product_words + word;
    if (at < words) return query[at];
    return complemented && at < 2 * words ? ~query[at - words] : 0;
}

/// No product reaches it.
inline constexpr int out_of_reach = INT16_MAX;

/// What a product, with a weight where there is one, is at least where the key of the distance may
/// be below a limit. `compared` bits are those of the chunks.
HASHCORE_ANYWHERE constexpr int bound_for(uint64_t limit, int64_t compared, bool complemented,
                                          int64_t query_weight) {
    const int64_t past = distance_limit(limit);
    if (past <= 0) return out_of_reach;
    const int64_t most = past - 1 < compared ? past - 1 : compared;
    // 2 (product - |b| / 2) >= |q| - most, where an odd |b| is halved downwards.
    return static_cast<int>(complemented ? compared - most : (query_weight - most + 1) >> 1);
}

// The weights of a tile: for each of the four places t that threads have in their quads, 32 pairs
// of columns 8 j + 2 t and the next; four words more keep the places in banks of their own.
inline constexpr int weight_words_a_place = 36;
inline constexpr int weight_bytes = 4 * weight_words_a_place * 4;
HASHCORE_ANYWHERE constexpr int weight_index(int column) {  // of 16-bit numbers
    return (column % 8 / 2 * weight_words_a_place + column / 8) * 2 + column % 2;
}
HASHCORE_ANYWHERE constexpr int16_t weight_entry(int weight) {
    return static_cast<int16_t>(-(weight >> 1));
}

/// 16 bytes of every code of a tile.
inline constexpr int column_bytes = static_cast<int>(tile_codes) * 16;

/// Codes in shared memory, as many as are loaded at once: some tiles, or a part of one.
struct Stage {
    int tiles;
    int products;      ///< of a code that the part takes
    int loaded_bytes;  ///< of a tile, at most
    int tile_stride;   ///< between the operands of two tiles
    int loads_at;      ///< where the tiles come in, if that is not where the operands are
    int weights_at;
    int bytes;

    /// Whole tiles up to 1,024 bits, parts of 1,024 bits above.
    static HASHCORE_ANYWHERE constexpr Stage of(int64_t bits) {
        constexpr int column = column_bytes;
        if (bits <= 64) return {4, 1, column / 2, column, 4 * column, 0, 6 * column};
        if (bits <= 128) return {2, 1, column, 2 * column, 0, 0, 4 * column};
        const int products = products_for(bits) < 4 ? static_cast<int>(products_for(bits)) : 4;
        const int bytes = products * 2 * column;
        return {1, products, bytes, bytes, 0, bytes, bytes + 1024};
    }
};

/// Parts that a tile is loaded in.
HASHCORE_ANYWHERE constexpr int64_t parts_of(int64_t bits) {
    return (products_for(bits) + 3) / 4;
}

inline constexpr int64_t shared_memory_of_hopper = 232448;
inline constexpr int64_t most_stages = 8;
inline constexpr int barriers_a_stage = 3;  ///< of 8 bytes

HASHCORE_ANYWHERE constexpr int64_t stages_within(int64_t shared_bytes, int64_t bits) {
    const int64_t stages = shared_bytes / (Stage::of(bits).bytes + barriers_a_stage * 8);
    return stages < most_stages ? stages : most_stages;
}

/// How a pass is shared out: items of a run of tiles and a block of queries, which comes first so
/// that the same tiles are asked for at about the same time. Numbers of 32 bits: a device holds
/// fewer tiles.
struct Share {
    int groups_a_block;  ///< of 64 queries: 2, or 1 where that is all
    int query_blocks;
    int tiles_a_run;
    int runs;

    static constexpr int64_t least_run = 16;
    static constexpr int64_t runs_a_multiprocessor = 8;

    static constexpr Share of(int64_t queries, int64_t tiles, int64_t multiprocessors) {
        const int64_t groups = queries > group_queries ? 2 : 1;
        const int64_t blocks = (queries + groups * group_queries - 1) / (groups * group_queries);
        const int64_t wanted = (multiprocessors * runs_a_multiprocessor + blocks - 1) / blocks;
        const int64_t even = (tiles + wanted - 1) / wanted;
        const int64_t run = even < least_run ? least_run : even;
        return {static_cast<int>(groups), static_cast<int>(blocks), static_cast<int>(run),
                static_cast<int>((tiles + run - 1) / run)};
    }
    HASHCORE_ANYWHERE constexpr int items() const { return runs * query_blocks; }
};

}  // namespace hashcore::cuda::b1
