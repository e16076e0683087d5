// How codes come into the shared memory of a Hopper GPU: stages in a ring, filled by one warpgroup
// of a block while the others read.
#pragma once
#include <cuda_runtime.h>

#include "cuda/b1_hits.h"
#include "cuda/b1_layout.h"
#include "cuda/hopper.h"
#include "cuda/runtime.h"

namespace hashcore::cuda::b1 {

inline constexpr int warp_threads = 32;
inline constexpr unsigned whole_warp = 0xFFFFFFFFU;
inline constexpr int preparing_warps = 3;
inline constexpr int preparing_threads = preparing_warps * warp_threads;
inline constexpr int codes = static_cast<int>(tile_codes);
inline constexpr int piece_bytes = static_cast<int>(sizeof(hopper::Piece));

struct Work {
    SearchPass pass;
    Stage stage;
    Share share;
    int tiles;  ///< of the pass
    int parts;  ///< of a tile
    int stages;
};

/// What a stage holds: a part of some tiles, for one block of queries.
struct Load {
    int first_tile;  ///< among those of the pass
    int tiles;
    int part;
    int turn;  ///< of the two warpgroups that take products
};

/// The stages in turn, as every role walks them.
struct Ring {
    int stages;
    int at = 0;
    uint32_t parity = 0;

    __device__ void next() {
        if (++at < stages) return;
        at = 0;
        parity ^= 1;
    }
};

/// Shared memory: the stages, then barriers of each: the tiles have come in, they are ready for
/// products, they were read.
struct Shared {
    char* memory;
    uint64_t* loaded;
    uint64_t* ready;
    uint64_t* read;

    __device__ explicit Shared(const Work& work)
        : memory(reinterpret_cast<char*>(shared_of_launch())),
          loaded(reinterpret_cast<uint64_t*>(memory + work.stages * work.stage.bytes)),
          ready(loaded + work.stages),
          read(ready + work.stages) {}
};

/// Whether any query of a block of them may have hits: all threads of a warp ask.
__device__ inline bool may_have_hits(const Work& work, int query_block) {
    const int64_t a_block = int64_t{work.share.groups_a_block} * group_queries;
    const int64_t end = (query_block + 1) * a_block;
    bool any = false;
#pragma unroll 1
    for (int64_t q = query_block * a_block + threadIdx.x % warp_threads; q < end; q += warp_threads)
        any |= q < work.pass.queries.count && work.pass.limits[q] != 0;
    return __any_sync(whole_warp, any) != 0;
}

/// body(load, ring) for everything that this block loads, in order, behind begin(query block):
/// queries that may have hits. Whole warps walk.
template <class Begin, class Body>
__device__ void each_load(const Work& work, const Begin& begin, const Body& body) {
    Ring ring{work.stages};
    for (int item = static_cast<int>(blockIdx.x); item < work.share.items();
         item += static_cast<int>(gridDim.x)) {
        const int run = item / work.share.query_blocks;
        const int query_block = item - run * work.share.query_blocks;
        if (!may_have_hits(work, query_block)) continue;
        begin(query_block);
        const int first = run * work.share.tiles_a_run;
        const int left = work.tiles - first;
        const int end = first + (left < work.share.tiles_a_run ? left : work.share.tiles_a_run);
        Load load{first, 0, 0, 0};
        for (; load.first_tile < end; load.first_tile += work.stage.tiles, load.turn ^= 1) {
            load.tiles =
                end - load.first_tile < work.stage.tiles ? end - load.first_tile : work.stage.tiles;
            for (load.part = 0; load.part < work.parts; ++load.part, ring.next()) body(load, ring);
        }
    }
}

__device__ inline int64_t tile_of(const SearchPass& pass, int number) {
    return pass.first_tile + number * pass.tile_step;
}

/// A warp, of which one thread asks for the tiles of a stage as soon as it was read.
__device__ inline void load_tiles(const Work& work, const Shared& shared) {
    const SearchPass& pass = work.pass;
    const int64_t bytes_a_tile = tile_bytes(pass.tiles.bits);
    const auto body = [&](const Load& load, const Ring& ring) {
        if (threadIdx.x != 0) return;
        const int64_t from = int64_t{load.part} * work.stage.loaded_bytes;
        const int64_t left = bytes_a_tile - from;
        const auto bytes =
            static_cast<uint32_t>(left < work.stage.loaded_bytes ? left : work.stage.loaded_bytes);
        hopper::wait(&shared.read[ring.at], ring.parity ^ 1);
        hopper::arrive_expecting(&shared.loaded[ring.at],
                                 bytes * static_cast<uint32_t>(load.tiles));
        char* to = shared.memory + ring.at * work.stage.bytes + work.stage.loads_at;
        const int stride =
            work.stage.loads_at == 0 ? work.stage.tile_stride : work.stage.loaded_bytes;
        for (int t = 0; t < load.tiles; ++t)
            hopper::copy(to + t * stride,
                         pass.tiles.data + tile_of(pass, load.first_tile + t) * bytes_a_tile + from,
                         bytes, &shared.loaded[ring.at]);
    };
    each_load(work, [](int) {}, body);
}

/// Codes of 16 bytes: the complements stand behind them.
__device__ inline void complement(const Work& work, const Load& load, char* stage, int thread) {
    for (int i = thread; i < load.tiles * codes; i += preparing_threads) {
        char* code = stage + i / codes * work.stage.tile_stride + i % codes * piece_bytes;
        hopper::Piece piece = *reinterpret_cast<const hopper::Piece*>(code);
        for (uint32_t& word : piece.words) word = ~word;
        hopper::store(code + column_bytes, piece);
    }
}
/// Codes of 8 bytes: 16 bytes of each become the operand.
__device__ inline void widen(const Work& work, const Load& load, char* stage, int thread) {
    const auto* loaded = reinterpret_cast<const uint64_t*>(stage + work.stage.loads_at);
    for (int i = thread; i < load.tiles * codes; i += preparing_threads) {
        const auto low = static_cast<uint32_t>(loaded[i]);
        const auto high = static_cast<uint32_t>(loaded[i] >> 32);
        hopper::store(stage + i * piece_bytes, hopper::Piece{{low, high, ~low, ~high}});
    }
}

/// The weights of the codes that this thread has of a tile, part by part.
class Weights {
 public:
    __device__ void add(const Work& work, const Load& load, const char* stage, int thread) {
        const int chunks_a_part = work.stage.loaded_bytes / column_bytes;
        const int left =
            static_cast<int>(chunks_per_code(work.pass.tiles.bits)) - load.part * chunks_a_part;
        const int chunks = left < chunks_a_part ? left : chunks_a_part;
#pragma unroll
        for (int own = 0; own < codes_a_thread; ++own) {
            const int code = thread + own * preparing_threads;
            if (load.part == 0) sums_[own] = 0;
            if (code >= codes) continue;
            const auto* piece = reinterpret_cast<const hopper::Piece*>(stage) + code;
#pragma unroll 2
            for (int chunk = 0; chunk < chunks; ++chunk)
                sums_[own] += weight_of(piece[chunk * codes].words, 4);
        }
    }
    __device__ void store(int16_t* entries, int thread) const {
#pragma unroll
        for (int own = 0; own < codes_a_thread; ++own) {
            const int code = thread + own * preparing_threads;
            if (code < codes) entries[weight_index(code)] = weight_entry(sums_[own]);
        }
    }

 private:
    static constexpr int codes_a_thread = (codes + preparing_threads - 1) / preparing_threads;
    int sums_[codes_a_thread];
};

/// Three warps: what products need beside the codes.
template <bool complemented>
__device__ void prepare(const Work& work, const Shared& shared) {
    const int thread = static_cast<int>(threadIdx.x) - warp_threads;
    Weights weights;
    const auto body = [&](const Load& load, const Ring& ring) {
        char* stage = shared.memory + ring.at * work.stage.bytes;
        hopper::wait(&shared.loaded[ring.at], ring.parity);
        if constexpr (complemented) {
            if (work.stage.loads_at == 0)
                complement(work, load, stage, thread);
            else
                widen(work, load, stage, thread);
            hopper::publish_stores();
        } else {
            weights.add(work, load, stage, thread);
            if (load.part == work.parts - 1)
                weights.store(reinterpret_cast<int16_t*>(stage + work.stage.weights_at), thread);
        }
        __syncwarp();
        if (threadIdx.x % warp_threads == 0) hopper::arrive(&shared.ready[ring.at]);
    };
    each_load(work, [](int) {}, body);
}

}  // namespace hashcore::cuda::b1
