// Many queries on the binary tensor core of compute capability 8.x, which has an exclusive or. A
// warp holds 64 queries in registers and reads codes as they stand in memory: words of eight codes
// at a time, 128 bytes that no other warp of the block reads. This file is compiled for these
// architectures alone: later ones emulate the instruction.
#include <cuda_runtime.h>

#include <algorithm>

#include "cuda/ampere.h"
#include "cuda/b1_hits.h"
#include "cuda/b1_layout.h"
#include "cuda/b1_scans.h"
#include "cuda/runtime.h"

namespace hashcore::cuda::b1 {
namespace {

constexpr int warp_threads = 32;
constexpr int block_threads = 256;
constexpr int row_blocks = group_queries / 16;
constexpr int columns_a_warp = static_cast<int>(tile_codes) / (block_threads / warp_threads);
constexpr int columns_at_once = 16;
constexpr int column_blocks = columns_at_once / 8;
constexpr int64_t blocks_a_multiprocessor = 8;
constexpr unsigned whole_warp = 0xFFFFFFFFU;

/// Words of a product of `half` or all of 256 bits that a thread has of a row, and of a column.
template <bool half>
struct Words {
    static constexpr int columns = half ? 1 : 2;
    static constexpr int rows = 2 * columns;
};

template <int products, bool half>
struct Queries {
    uint32_t words[row_blocks][products][Words<half>::rows];
    int nearer_than[row_blocks][2];

    /// Whether any of the 64 may have hits.
    __device__ bool load(const SearchPass& pass, int64_t first, int lane) {
        const int64_t count = words_of_query(pass.tiles.bits);
        bool any = false;
#pragma unroll
        for (int m = 0; m < row_blocks; ++m) {
#pragma unroll
            for (int p = 0; p < products; ++p)
#pragma unroll
                for (int r = 0; r < Words<half>::rows; ++r) {
                    const int64_t query = first + 16 * m + row_of(lane, r % 2);
                    words[m][p][r] = query < pass.queries.count
                                         ? query_word(row_of_query(pass, query), count, false, p,
                                                      word_of(lane, r))
                                         : 0;
                }
#pragma unroll
            for (int which = 0; which < 2; ++which) {
                const int64_t query = first + 16 * m + row_of(lane, which);
                nearer_than[m][which] = query < pass.queries.count
                                            ? static_cast<int>(distance_limit(pass.limits[query]))
                                            : 0;
                any = any || nearer_than[m][which] > 0;
            }
        }
        return __any_sync(whole_warp, any) != 0;
    }
};

/// Words of a column's code, of every product.
template <int products, bool half>
__device__ void load_column(const SearchPass& pass, const uint8_t* tile, int column, int lane,
                            uint32_t (&words)[products][Words<half>::columns]) {
    const int words_a_chunk = static_cast<int>(chunk_bytes(pass.tiles.bits)) / 4;
    const int chunks = static_cast<int>(chunks_per_code(pass.tiles.bits));
    const int word = lane % 4;
    const auto* code = reinterpret_cast<const uint32_t*>(tile) + column * words_a_chunk + word;
#pragma unroll
    for (int p = 0; p < products; ++p)
#pragma unroll
        for (int c = 0; c < Words<half>::columns; ++c) {
            const int chunk = p * 2 + c;
            const bool there = chunk < chunks && word < words_a_chunk;
            words[p][c] = there ? code[chunk * static_cast<int>(tile_codes) * words_a_chunk] : 0;
        }
}

/// Bit 4 m + i of each block of columns: product i of block m of rows is near.
__device__ uint32_t near_ones(const int (&d)[column_blocks][row_blocks][4],
                              const int (&nearer_than)[row_blocks][2]) {
    uint32_t near = 0;
#pragma unroll
    for (int n = 0; n < column_blocks; ++n)
#pragma unroll
        for (int m = 0; m < row_blocks; ++m)
#pragma unroll
            for (int i = 0; i < 4; ++i)
                near |= (d[n][m][i] < nearer_than[m][i / 2] ? 1U : 0U) << (16 * n + 4 * m + i);
    return near;
}

template <int products, bool half>
__global__ void __launch_bounds__(block_threads, products > 1 ? 1 : 2)
    scan_columns(const SearchPass pass, int64_t tiles) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ < 900
    const int lane = static_cast<int>(threadIdx.x) % warp_threads;
    const int64_t first_query = int64_t{blockIdx.x} * group_queries;
    Queries<products, half> queries;
    if (!queries.load(pass, first_query, lane)) return;
    const int first_column = static_cast<int>(threadIdx.x) / warp_threads * columns_a_warp;
    const int64_t bytes_a_tile = tile_bytes(pass.tiles.bits);
    for (int64_t number = blockIdx.y; number < tiles; number += gridDim.y) {
        const int64_t tile = pass.first_tile + number * pass.tile_step;
        for (int strip = 0; strip < columns_a_warp; strip += columns_at_once) {
            int d[column_blocks][row_blocks][4] = {};
            uint32_t codes[column_blocks][products][Words<half>::columns];
#pragma unroll
            for (int n = 0; n < column_blocks; ++n)
                load_column<products, half>(pass, pass.tiles.data + tile * bytes_a_tile,
                                            first_column + strip + 8 * n + lane / 4, lane,
                                            codes[n]);
#pragma unroll
            for (int n = 0; n < column_blocks; ++n)
#pragma unroll
                for (int p = 0; p < products; ++p)
#pragma unroll
                    for (int m = 0; m < row_blocks; ++m)
                        ampere::add_differing(d[n][m], queries.words[m][p], codes[n][p]);
            bool any = false;
#pragma unroll
            for (int n = 0; n < column_blocks; ++n)
#pragma unroll
                for (int m = 0; m < row_blocks; ++m)
#pragma unroll
                    for (int i = 0; i < 4; i += 2) {
                        const int low = d[n][m][i] < d[n][m][i + 1] ? d[n][m][i] : d[n][m][i + 1];
                        any |= low < queries.nearer_than[m][i / 2];
                    }
            if (!__any_sync(whole_warp, any)) continue;
#pragma unroll 1
            for (uint32_t left = near_ones(d, queries.nearer_than); left != 0; left &= left - 1) {
                const int at = lowest_bit(left);
                const int column = first_column + strip + at / 16 * 8 + lane % 4 * 2 + at % 2;
                keep_if_hit(pass, tile * tile_codes + column,
                            first_query + at / 4 % 4 * 16 + row_of(lane, at / 2 % 2));
            }
        }
    }
#endif
}

template <int products, bool half>
void run(const SearchPass& pass, const Stream& stream) {
    int multiprocessors = 0;
    check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, stream.device),
          "multiprocessors of the device");
    const int64_t tiles = tiles_of(pass);
    const int64_t groups = (pass.queries.count + group_queries - 1) / group_queries;
    const int64_t enough = (multiprocessors * blocks_a_multiprocessor + groups - 1) / groups;
    const dim3 blocks(static_cast<unsigned>(groups),
                      static_cast<unsigned>(std::min(enough, tiles)));
    launch(stream, "a scan on the tensor core", scan_columns<products, half>, blocks, block_threads,
           0, pass, tiles);
}

}  // namespace

void scan_by_mma(const SearchPass& pass, const Stream& stream) {
    const int64_t bits = pass.tiles.bits;
    if (bits <= product_bits / 2) return run<1, true>(pass, stream);
    switch (products_for(bits)) {
        case 1:
            return run<1, false>(pass, stream);
        case 2:
            return run<2, false>(pass, stream);
        case 3:
            return run<3, false>(pass, stream);
        default:
            return run<4, false>(pass, stream);
    }
}

}  // namespace hashcore::cuda::b1
