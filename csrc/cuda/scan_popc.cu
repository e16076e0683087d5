#include <algorithm>

#include "cuda/hamming.h"
#include "cuda/runtime.h"
#include "cuda/search_pass.h"

namespace hashcore::cuda {
namespace {

constexpr int threads = tile_codes;  // a slot of a tile each
constexpr unsigned whole_warp = 0xFFFFFFFFU;
constexpr int warp_threads = 32;
constexpr int counted_queries = 4;  // a block, where keys are counted
constexpr int64_t most_shared_bytes = 48 << 10;
constexpr int64_t blocks_a_multiprocessor = 16;

/// How a kernel reads codes: the words of a chunk, whether that is the whole code, and how many
/// queries ride a read.
template <int words_, bool whole_, int queries_>
struct Reading {
    static constexpr int words = words_;
    static constexpr bool whole = whole_;
    static constexpr int queries = queries_;
    /// Tiles read at once, so that enough loads are under way.
    static constexpr int tiles = !whole ? 1 : queries == 1 ? 8 : 4;
    using Code = Chunk<words>;
    static_assert(queries * tiles <= 32 && query_group % queries == 0);
};

template <class Read>
__device__ int64_t chunks_of(const SearchPass& pass) {
    return Read::whole ? 1 : chunks_per_code(pass.tiles.bits);
}

template <class Read>
__device__ const typename Read::Code* query_row(const SearchPass& pass, int64_t query) {
    return reinterpret_cast<const typename Read::Code*>(pass.queries.data) +
           query * chunks_of<Read>(pass);
}

/// Distances of the code in a slot to queries one behind the other.
template <class Read>
__device__ void measure(const SearchPass& pass, int64_t tile, const typename Read::Code* rows,
                        int (&distances)[Read::queries]) {
    using Code = typename Read::Code;
    const int64_t chunks = chunks_of<Read>(pass);
    const Code* codes =
        reinterpret_cast<const Code*>(pass.tiles.data) + tile * chunks * tile_codes + threadIdx.x;
    BitSum sums[Read::queries];
#pragma unroll(Read::queries == 1 ? 4 : 1)
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
        const Code code = codes[chunk * tile_codes];
#pragma unroll
        for (int q = 0; q < Read::queries; ++q) sums[q].add(code, rows[q * chunks + chunk]);
    }
#pragma unroll
    for (int q = 0; q < Read::queries; ++q) distances[q] = sums[q].total();
}

__device__ bool is_allowed(const TileView& tiles, int64_t slot) {
    return slot < tiles.codes &&
           (tiles.allowed == nullptr || (tiles.allowed[slot / 32] >> (slot % 32) & 1) != 0);
}

template <class Read>
__device__ int distance_of(const SearchPass& pass, int64_t slot, int64_t query) {
    const typename Read::Code* row = query_row<Read>(pass, query);
    const int64_t chunks = chunks_of<Read>(pass);
    const auto* code = reinterpret_cast<const typename Read::Code*>(pass.tiles.data) +
                       slot / tile_codes * chunks * tile_codes + slot % tile_codes;
    int sum = 0;
    for (int64_t chunk = 0; chunk < chunks; ++chunk)
        sum += differing_bits(code[chunk * tile_codes], row[chunk]);
    return sum;
}

/// Keeps the hits of a warp, of which each thread may have one: one atomic addition for all.
__device__ void keep(const HitRows& hits, int64_t query, bool hit, uint64_t key) {
    const unsigned voters = __ballot_sync(whole_warp, hit);
    if (voters == 0) return;
    const unsigned lane = threadIdx.x % warp_threads;
    const auto first = static_cast<unsigned>(__ffs(static_cast<int>(voters)) - 1);
    unsigned long long place = 0;
    if (lane == first)
        place = atomicAdd(&hits.counts[query], static_cast<unsigned long long>(ones_of(voters)));
    place = __shfl_sync(whole_warp, place, static_cast<int>(first));
    place += static_cast<unsigned>(ones_of(voters & ((1U << lane) - 1)));
    const auto room = static_cast<unsigned long long>(hits.begin[query + 1] - hits.begin[query]);
    if (hit && place < room) hits.keys[hits.begin[query] + static_cast<int64_t>(place)] = key;
}

template <class Read>
__global__ void __launch_bounds__(threads, Read::whole ? 4 : 3) keep_hits(const SearchPass pass) {
    using Code = typename Read::Code;
    constexpr int queries = Read::queries;
    const int64_t first_query = int64_t{blockIdx.y} * queries;
    const Code* rows = query_row<Read>(pass, first_query);
    int nearer_than[queries];
    int farthest = 0;
#pragma unroll
    for (int q = 0; q < queries; ++q) {
        const bool there = first_query + q < pass.queries.count;
        nearer_than[q] = there ? static_cast<int>(distance_limit(pass.limits[first_query + q])) : 0;
        farthest = nearer_than[q] > farthest ? nearer_than[q] : farthest;
    }
    if (farthest == 0) return;
    Code own[queries];
#pragma unroll
    for (int q = 0; q < queries; ++q)
        if constexpr (Read::whole) own[q] = rows[q];
    const int64_t steps = (pass.end_tile - pass.first_tile + pass.tile_step - 1) / pass.tile_step;
    for (int64_t step = int64_t{blockIdx.x} * Read::tiles; step < steps;
         step += int64_t{gridDim.x} * Read::tiles) {
        const int64_t first_tile = pass.first_tile + step * pass.tile_step;
        unsigned near = 0;
        if constexpr (Read::whole) {
            Code codes[Read::tiles];
            const auto* data = reinterpret_cast<const Code*>(pass.tiles.data) + threadIdx.x;
#pragma unroll
            for (int t = 0; t < Read::tiles; ++t) {
                const int64_t ahead = step + t < steps ? t * pass.tile_step : 0;
                codes[t] = data[(first_tile + ahead) * tile_codes];
            }
#pragma unroll
            for (int t = 0; t < Read::tiles; ++t) {
                const int64_t slot = (first_tile + t * pass.tile_step) * tile_codes + threadIdx.x;
                const bool there = step + t < steps && slot < pass.tiles.codes;
#pragma unroll
                for (int q = 0; q < queries; ++q)
                    if (there && differing_bits(codes[t], own[q]) < nearer_than[q])
                        near |= 1U << (t * queries + q);
            }
        } else {
            int distances[queries];
            measure<Read>(pass, first_tile, rows, distances);
            const bool there = first_tile * tile_codes + threadIdx.x < pass.tiles.codes;
#pragma unroll
            for (int q = 0; q < queries; ++q)
                if (there && distances[q] < nearer_than[q]) near |= 1U << q;
        }
        if (__any_sync(whole_warp, near != 0) == 0) continue;
        for (int t = 0; t < Read::tiles; ++t)
            for (int q = 0; q < queries; ++q) {
                if (first_query + q >= pass.queries.count) break;
                const int64_t slot = (first_tile + t * pass.tile_step) * tile_codes + threadIdx.x;
                bool hit = (near >> (t * queries + q) & 1) != 0 && is_allowed(pass.tiles, slot);
                uint64_t key = 0;
                if (hit) {
                    key = hit_key(distance_of<Read>(pass, slot, first_query + q),
                                  pass.tiles.first_position + slot);
                    hit = key < pass.limits[first_query + q];
                }
                keep(pass.hits, first_query + q, hit, key);
            }
    }
}

__device__ bool shares_class(const SearchPass& pass, int64_t slot, int64_t query) {
    const int64_t words = pass.tiles.label_words;
    if (words == 0) return pass.tiles.labels[slot] == pass.queries.labels[query];
    uint64_t both = 0;
    for (int64_t w = 0; w < words; ++w)
        both |= pass.tiles.labels[slot * words + w] & pass.queries.labels[query * words + w];
    return both != 0;
}

/// Counts in shared memory where that has room, and adds up at the end.
template <class Read>
__global__ void __launch_bounds__(threads, 3) count_keys(const SearchPass pass, bool in_shared) {
    constexpr int queries = Read::queries;
    const int64_t first_query = int64_t{blockIdx.y} * queries;
    const typename Read::Code* rows = query_row<Read>(pass, first_query);
    uint64_t lows[queries], limits[queries];
    bool any = false;
#pragma unroll
    for (int q = 0; q < queries; ++q) {
        const bool there = first_query + q < pass.queries.count;
        limits[q] = there ? pass.limits[first_query + q] : 0;
        lows[q] = there && pass.bins.lows != nullptr ? pass.bins.lows[first_query + q] : 0;
        any = any || limits[q] != 0;
    }
    if (!any) return;
    const bool labelled = pass.tiles.labels != nullptr;
    const int64_t bins = pass.bins.bins * (labelled ? 2 : 1);
    auto* shared = reinterpret_cast<unsigned*>(shared_of_launch());
    if (in_shared) {
        for (int64_t i = threadIdx.x; i < bins * queries; i += threads) shared[i] = 0;
        __syncthreads();
    }
    unsigned long long* counts = pass.bins.counts + first_query * bins;
    const int64_t steps = (pass.end_tile - pass.first_tile + pass.tile_step - 1) / pass.tile_step;
    for (int64_t step = blockIdx.x; step < steps; step += gridDim.x) {
        const int64_t tile = pass.first_tile + step * pass.tile_step;
        const int64_t slot = tile * tile_codes + threadIdx.x;
        if (!is_allowed(pass.tiles, slot)) continue;
        int distances[queries];
        if constexpr (Read::whole) {
            const auto code = reinterpret_cast<const typename Read::Code*>(pass.tiles.data)[slot];
#pragma unroll
            for (int q = 0; q < queries; ++q) distances[q] = differing_bits(code, rows[q]);
        } else {
            measure<Read>(pass, tile, rows, distances);
        }
#pragma unroll
        for (int q = 0; q < queries; ++q) {
            const uint64_t key = hit_key(distances[q], pass.tiles.first_position + slot);
            if (key >= limits[q] || key < lows[q]) continue;
            auto bin = static_cast<int64_t>((key - lows[q]) >> pass.bins.shift);
            if (labelled) bin = 2 * bin + (shares_class(pass, slot, first_query + q) ? 1 : 0);
            if (in_shared)
                atomicAdd(&shared[q * bins + bin], 1U);
            else
                atomicAdd(&counts[q * bins + bin], 1ULL);
        }
    }
    if (!in_shared) return;
    __syncthreads();
    for (int64_t i = threadIdx.x; i < bins * queries; i += threads)
        if (shared[i] != 0) atomicAdd(&counts[i], static_cast<unsigned long long>(shared[i]));
}

dim3 blocks_of(const SearchPass& pass, int64_t tiles_a_step, int64_t queries_a_block, int device) {
    int multiprocessors = 0;
    check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device),
          "multiprocessors of the device");
    const int64_t rows = (pass.queries.count + queries_a_block - 1) / queries_a_block;
    const int64_t tiles = (pass.end_tile - pass.first_tile + pass.tile_step - 1) / pass.tile_step;
    const int64_t steps = (tiles + tiles_a_step - 1) / tiles_a_step;
    const int64_t enough = (multiprocessors * blocks_a_multiprocessor + rows - 1) / rows;
    // A block counts in 32 bits.
    const int64_t least = (tiles * tile_codes >> 31) + 1;
    const int64_t columns = std::min(std::max({enough, least, int64_t{1}}), steps);
    return {static_cast<unsigned>(columns), static_cast<unsigned>(rows)};
}

template <class Read>
void run_hits(const SearchPass& pass, const Stream& stream) {
    launch(stream, "a scan", keep_hits<Read>,
           blocks_of(pass, Read::tiles, Read::queries, stream.device), threads, 0, pass);
}

template <int words, bool whole>
void run(const SearchPass& pass, const Stream& stream) {
    if (pass.bins.counts != nullptr) {
        const int64_t bytes = pass.bins.bins * (pass.tiles.labels != nullptr ? 2 : 1) *
                              counted_queries * static_cast<int64_t>(sizeof(unsigned));
        const bool in_shared = bytes <= most_shared_bytes;
        launch(stream, "a counting scan", count_keys<Reading<words, whole, counted_queries>>,
               blocks_of(pass, 1, counted_queries, stream.device), threads, in_shared ? bytes : 0,
               pass, in_shared);
        return;
    }
    if (pass.queries.count == 1) return run_hits<Reading<words, whole, 1>>(pass, stream);
    if (pass.queries.count <= 4) return run_hits<Reading<words, whole, 4>>(pass, stream);
    run_hits<Reading<words, whole, 8>>(pass, stream);
}

}  // namespace

void scan_popc(const SearchPass& pass, const Stream& stream) {
    if (pass.queries.count == 0 || pass.first_tile >= pass.end_tile) return;
    if (chunk_bytes(pass.tiles.bits) == 8) return run<1, true>(pass, stream);
    if (chunks_per_code(pass.tiles.bits) == 1) return run<2, true>(pass, stream);
    run<2, false>(pass, stream);
}

}  // namespace hashcore::cuda
