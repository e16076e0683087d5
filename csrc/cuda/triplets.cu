#include <algorithm>
#include <stdexcept>

#include "cuda/anchor.h"
#include "cuda/runtime.h"

namespace hashcore::cuda {
namespace {

constexpr int warp_threads = 32;
constexpr int warps_a_block = 8;
constexpr int finish_threads = 256;
constexpr int gradient_threads = 128;
constexpr int64_t most_counted_words = 1023;  // AnchorRoom::shared has 16 bits

struct Mine {
    ProductBlock<float> block;
    PairLabels labels;
    TripletRule rule;
    const double* discounts;
    char* room;          // of all blocks, or null: in shared memory
    int64_t room_bytes;  // a block
    MinedTriplets mined;

    __device__ Candidates candidates(int64_t row) const {
        return {block.values + row * block.columns,
                block.columns,
                labels.rows + row * labels.words,
                labels.columns,
                labels.words,
                block.row_squares == nullptr ? 0 : block.row_squares[row],
                block.column_squares,
                block.own_column < 0 ? -1 : block.own_column + row};
    }
    __device__ void store(int64_t row, const AnchorSums& sums) const {
        double* out = mined.sums + 4 * row;
        out[0] = sums.loss;
        out[1] = sums.weight;
        out[2] = sums.triplets;
        out[3] = sums.counted;
    }
    __device__ void store(int64_t row, const HardTriplet& taken) const {
        for (int i = 0; i < 2; ++i) {
            mined.columns[2 * row + i] = taken.columns[i];
            mined.slopes[2 * row + i] = taken.slopes[i];
        }
    }
};

/// A block an anchor.
__global__ void mine_by_blocks(const Mine work) {
    uint64_t* memory = shared_of_launch();
    BlockTeam team(memory);
    char* room = reinterpret_cast<char*>(memory) + room_a_thread * team.size();
    if (work.room != nullptr) room = work.room + blockIdx.x * work.room_bytes;
    AnchorRoom parts;
    parts.lay_out(room, work.block.columns, work.labels.words, work.rule);
    for (int64_t row = blockIdx.x; row < work.block.rows; row += gridDim.x) {
        const Candidates candidates = work.candidates(row);
        AnchorMiner<BlockTeam> miner(team, candidates, work.rule, parts);
        const AnchorSums sums = miner.mine(work.discounts);
        if (threadIdx.x == 0) work.store(row, sums);
        if (work.rule.mining != Mining::hard)
            miner.store_slopes();
        else if (threadIdx.x == 0)
            work.store(row, miner.hardest());
        team.barrier();
    }
}

/// A warp an anchor, for hard mining that is not graded.
__global__ void mine_by_warps(const Mine work) {
    __shared__ uint64_t memory[warps_a_block * warp_threads * room_a_thread / sizeof(uint64_t)];
    const unsigned warp = threadIdx.x / warp_threads;
    const int64_t row = int64_t{blockIdx.x} * warps_a_block + warp;
    if (row >= work.block.rows) return;
    WarpTeam team(reinterpret_cast<char*>(memory) + warp * warp_threads * room_a_thread);
    HardTriplet taken;
    const AnchorSums sums = mine_hardest(team, work.candidates(row), work.rule, taken);
    if (threadIdx.x % warp_threads != 0) return;
    work.store(row, sums);
    work.store(row, taken);
}

__global__ void finish(const double* sums, int64_t rows, bool weighted, float* loss, float* scale) {
    __shared__ uint64_t memory[finish_threads * room_a_thread / sizeof(uint64_t)];
    BlockTeam team(memory);
    double totals[4];
    for (int part = 0; part < 4; ++part)
        totals[part] = sum<double>(team, rows, [&](int64_t row) { return sums[4 * row + part]; });
    if (threadIdx.x != 0) return;
    const double of_weight = weighted && totals[1] > 0 ? totals[2] / totals[1] : 1;
    const double factor = of_weight / (totals[3] > 1 ? totals[3] : 1);
    *loss = static_cast<float>(totals[0] * factor);
    *scale = totals[0] != totals[0] ? NAN : static_cast<float>(factor);
}

/// What one end of a pair moves by for the other: values of one bit.
__device__ float pull(bool squared, float own, float other) {
    return squared ? 2 * (own - other) : -other;
}

/// A block an anchor.
__global__ void anchor_gradients(const HardPairs pairs, float* gradients) {
    const int64_t row = blockIdx.x;
    const float scale = *pairs.scale;
    const float* own = pairs.anchors + row * pairs.bits;
    const float* a = pairs.candidates + pairs.of_row[2 * row] * pairs.bits;
    const float* b = pairs.candidates + pairs.of_row[2 * row + 1] * pairs.bits;
    for (int64_t bit = threadIdx.x; bit < pairs.bits; bit += blockDim.x)
        gradients[row * pairs.bits + bit] =
            scale * (pairs.slopes[2 * row] * pull(pairs.squared, own[bit], a[bit]) +
                     pairs.slopes[2 * row + 1] * pull(pairs.squared, own[bit], b[bit]));
}

__device__ int64_t lower_bound(const int64_t* ascending, int64_t count, int64_t value) {
    int64_t first = 0;
    while (count > 0) {
        const int64_t half = count / 2;
        if (ascending[first + half] < value) {
            first += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return first;
}

/// A block a candidate; it adds its anchors up in their order.
__global__ void candidate_gradients(const HardPairs pairs, const int64_t* order,
                                    const int64_t* sorted, float* gradients) {
    const int64_t column = blockIdx.x;
    const int64_t places = 2 * pairs.rows;
    const int64_t begin = lower_bound(sorted, places, column);
    const int64_t end = begin + lower_bound(sorted + begin, places - begin, column + 1);
    const float scale = *pairs.scale;
    const float* own = pairs.candidates + column * pairs.bits;
    for (int64_t bit = threadIdx.x; bit < pairs.bits; bit += blockDim.x) {
        float total = 0;
#pragma unroll 4
        for (int64_t i = begin; i < end; ++i) {
            const int64_t place = order[i];
            const float other = pairs.anchors[place / 2 * pairs.bits + bit];
            total += pairs.slopes[place] * pull(pairs.squared, own[bit], other);
        }
        gradients[column * pairs.bits + bit] = scale * total;
    }
}

bool by_warps(const TripletRule& rule) {
    return rule.mining == Mining::hard && !rule.graded;
}

/// How a device mines by blocks.
struct BlockPlan {
    int threads;
    unsigned blocks;
    int64_t room_bytes;    // a block
    int64_t shared_bytes;  // a block
    bool in_shared;        // the room is shared memory
};

BlockPlan plan_blocks(int64_t rows, int64_t columns, int64_t words, const TripletRule& rule,
                      int device) {
    if (rule.graded && words > most_counted_words)
        throw std::invalid_argument(
            "labels: expected at most 65,472 classes where they are counted");
    BlockPlan plan{};
    plan.threads = columns <= 512 ? 128 : columns <= 2048 ? 256 : 512;
    AnchorRoom room;
    plan.room_bytes = room.lay_out(nullptr, columns, words, rule);
    int most = 0, multiprocessors = 0;
    check(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device),
          "shared memory of the device");
    check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device),
          "multiprocessors of the device");
    plan.shared_bytes = room_a_thread * plan.threads;
    plan.in_shared = plan.shared_bytes + plan.room_bytes <= most;
    if (plan.in_shared) plan.shared_bytes += plan.room_bytes;
    const int64_t blocks = plan.in_shared ? rows : std::min<int64_t>(rows, multiprocessors);
    plan.blocks = blocks_for(blocks, 1);
    return plan;
}

}  // namespace

int64_t mining_room(int64_t rows, int64_t columns, int64_t words, const TripletRule& rule,
                    int device) {
    if (by_warps(rule)) return 0;
    const BlockPlan plan = plan_blocks(rows, columns, words, rule, device);
    return plan.in_shared ? 0 : plan.room_bytes * plan.blocks;
}

void mine_triplets(const ProductBlock<float>& block, const PairLabels& labels,
                   const TripletRule& rule, const double* discounts, char* room,
                   const MinedTriplets& mined, const Stream& stream) {
    if (block.rows == 0) return;
    Mine work{block, labels, rule, discounts, nullptr, 0, mined};
    if (by_warps(rule)) {
        launch(stream, "hard triplet mining", mine_by_warps, blocks_for(block.rows, warps_a_block),
               warps_a_block * warp_threads, 0, work);
        return;
    }
    const BlockPlan plan =
        plan_blocks(block.rows, block.columns, labels.words, rule, stream.device);
    if (!plan.in_shared) work.room = room;
    work.room_bytes = plan.room_bytes;
    {
        const DeviceScope scope(stream.device);
        check(cudaFuncSetAttribute(mine_by_blocks, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   static_cast<int>(plan.shared_bytes)),
              "shared memory for triplet mining");
    }
    launch(stream, "triplet mining", mine_by_blocks, plan.blocks, plan.threads, plan.shared_bytes,
           work);
}

void finish_triplets(const double* sums, int64_t rows, bool weighted, float* loss, float* scale,
                     const Stream& stream) {
    launch(stream, "the sums of triplet mining", finish, 1, finish_threads, 0, sums, rows, weighted,
           loss, scale);
}

void hard_gradients(const HardPairs& pairs, const int64_t* order, const int64_t* sorted,
                    float* of_anchors, float* of_candidates, const Stream& stream) {
    const auto rows = static_cast<unsigned>(pairs.rows);
    const auto columns = static_cast<unsigned>(pairs.columns);
    if (rows > 0)
        launch(stream, "gradients of anchors", anchor_gradients, rows, gradient_threads, 0, pairs,
               of_anchors);
    if (columns > 0)
        launch(stream, "gradients of candidates", candidate_gradients, columns, gradient_threads, 0,
               pairs, order, sorted, of_candidates);
}

}  // namespace hashcore::cuda
