// Many queries on the binary tensor core of Hopper, at most one block a multiprocessor. Of its
// three warpgroups the first fills stages of shared memory: one warp asks for tiles, three make
// complements or weights. The others hold 64 queries each, take products with 256 codes, and
// compare them while the other's products run. This file is compiled for sm_90a alone.
#include "cuda/b1_products.h"
#include "cuda/b1_scans.h"
#include "cuda/b1_stages.h"

namespace hashcore::cuda::b1 {
namespace {

constexpr int block_threads = 3 * group_threads;
constexpr int registers_of_loads = 56;
constexpr int registers_of_products = 224;

/// Takes products of 64 queries with the tiles of a stage and keeps the hits.
template <int products, bool complemented, bool in_parts>
__device__ void search(const Work& work, const Shared& shared, int group) {
    const int thread = static_cast<int>(threadIdx.x) % group_threads;
    Queries<products, complemented> queries;
    int d[products_a_thread];
    const auto begin = [&](int query_block) {
        queries.first = (query_block * work.share.groups_a_block +
                         (work.share.groups_a_block == 2 ? group : 0)) *
                        group_queries;
        queries.load_bounds(work.pass, thread);
        if constexpr (!in_parts) queries.load_words(work.pass, thread, 0);
    };
    const auto body = [&](const Load& load, const Ring& ring) {
        if (work.share.groups_a_block == 1 && load.turn != group) return;
        char* stage = shared.memory + ring.at * work.stage.bytes;
        if constexpr (in_parts) queries.load_words(work.pass, thread, load.part * products);
        hopper::wait(&shared.loaded[ring.at], ring.parity);
        hopper::wait(&shared.ready[ring.at], ring.parity);
        const auto* weights = reinterpret_cast<const hopper::Piece*>(
            stage + work.stage.weights_at + thread % 4 * (4 * weight_words_a_place));
        for (int t = 0; t < load.tiles; ++t) {
            const uint64_t b =
                operand(hopper::shared_address(stage + t * work.stage.tile_stride), column_bytes);
            hopper::begin_products();
#pragma unroll
            for (int p = 0; p < products; ++p)
                hopper::product(d, queries.words[p], b + p * (2 * column_bytes >> 4),
                                p > 0 || (in_parts && load.part > 0));
            hopper::end_products();
            if (in_parts && load.part < work.parts - 1) continue;
            int best[2];
            largest<complemented>(d, weights, best);
            const bool any = best[0] >= queries.bounds[0] || best[1] >= queries.bounds[1];
            if (__any_sync(whole_warp, any))
                keep_hits(work.pass, queries, d, weights, tile_of(work.pass, load.first_tile + t),
                          thread);
        }
        __syncwarp();
        if (threadIdx.x % warp_threads == 0) hopper::arrive(&shared.read[ring.at]);
    };
    each_load(work, begin, body);
}

template <int products, bool complemented, bool in_parts>
__global__ void __launch_bounds__(block_threads, 1) scan_tiles(const Work work) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL) || defined(HASHCORE_CUDA_ON_HOST)
    const Shared shared(work);
    if (threadIdx.x == 0) {
        const int readers =
            static_cast<int>(work.share.groups_a_block) * group_threads / warp_threads;
        for (int s = 0; s < work.stages; ++s) {
            hopper::init(&shared.loaded[s], 1);
            hopper::init(&shared.ready[s], preparing_warps);
            hopper::init(&shared.read[s], readers);
        }
        hopper::publish_barriers();
    }
    __syncthreads();
    if (threadIdx.x < group_threads) {
        hopper::shrink<registers_of_loads>();
        if (threadIdx.x < warp_threads)
            load_tiles(work, shared);
        else
            prepare<complemented>(work, shared);
    } else {
        hopper::grow<registers_of_products>();
        search<products, complemented, in_parts>(work, shared,
                                                 static_cast<int>(threadIdx.x) / group_threads - 1);
    }
#endif
}

template <int products, bool complemented, bool in_parts>
void run(const Work& work, const Stream& stream, int blocks) {
    const auto kernel = scan_tiles<products, complemented, in_parts>;
    const int bytes = work.stages * (work.stage.bytes + barriers_a_stage * 8);
    const DeviceScope scope(stream.device);
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes),
          "shared memory for a scan");
    launch(stream, "a scan on the tensor core", kernel, static_cast<unsigned>(blocks),
           block_threads, bytes, work);
}

}  // namespace

void scan_by_wgmma(const SearchPass& pass, const Stream& stream) {
    const int64_t bits = pass.tiles.bits;
    int multiprocessors = 0, shared_bytes = 0;
    check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, stream.device),
          "multiprocessors of the device");
    check(cudaDeviceGetAttribute(&shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin,
                                 stream.device),
          "shared memory of the device");
    const int64_t tiles = tiles_of(pass);
    const Work work{pass,
                    Stage::of(bits),
                    Share::of(pass.queries.count, tiles, multiprocessors),
                    static_cast<int>(tiles),
                    static_cast<int>(parts_of(bits)),
                    static_cast<int>(stages_within(shared_bytes, bits))};
    const int blocks = work.share.items() < multiprocessors ? work.share.items() : multiprocessors;
    if (is_complemented(bits)) return run<1, true, false>(work, stream, blocks);
    if (work.parts > 1) return run<4, false, true>(work, stream, blocks);
    switch (work.stage.products) {
        case 1:
            return run<1, false, false>(work, stream, blocks);
        case 2:
            return run<2, false, false>(work, stream, blocks);
        case 3:
            return run<3, false, false>(work, stream, blocks);
        default:
            return run<4, false, false>(work, stream, blocks);
    }
}

}  // namespace hashcore::cuda::b1
