#include "cuda/runtime.h"
#include "cuda/selection_steps.h"

namespace hashcore::cuda {
namespace {

constexpr int threads = 256;
constexpr int64_t keys_a_block = 8 * threads;  // of a merge

__device__ int64_t thread_of_grid() {
    return int64_t{blockIdx.x} * threads + threadIdx.x;
}

/// A block a run of a row.
__global__ void __launch_bounds__(threads) sort_runs(const SortedRows rows) {
    __shared__ uint64_t keys[run_keys];
    const int64_t row = blockIdx.y;
    const int64_t first = int64_t{blockIdx.x} * run_keys;
    const int64_t left = static_cast<int64_t>(rows.counts[row]) - first;
    if (left <= 0) return;
    const int64_t count = left < run_keys ? left : run_keys;
    uint64_t* run = rows.keys + rows.begin[row] + first;
    BlockTeam team(nullptr);
    team.each(count, [&](int64_t i) { keys[i] = run[i]; });
    sort(team, keys, count);
    team.each(count, [&](int64_t i) { run[i] = keys[i]; });
}

/// Merges runs of 2^merges * run_keys two by two.
__global__ void __launch_bounds__(threads) merge_runs(const SortedRows rows, int merges) {
    const int64_t row = blockIdx.y;
    const auto count = static_cast<int64_t>(rows.counts[row]);
    const int64_t length = run_keys << merges;
    if (count <= length) return;
    const uint64_t* from = (merges % 2 == 0 ? rows.keys : rows.other) + rows.begin[row];
    uint64_t* to = (merges % 2 == 0 ? rows.other : rows.keys) + rows.begin[row];
    const int64_t first = int64_t{blockIdx.x} * keys_a_block;
    for (int64_t i = first + threadIdx.x; i < first + keys_a_block && i < count; i += threads)
        to[merged_place(from, count, length, i)] = from[i];
}

__device__ const uint64_t* sorted_row(const SortedRows& rows, int64_t row) {
    const auto count = static_cast<int64_t>(rows.counts[row]);
    return (merges_of(count) % 2 == 0 ? rows.keys : rows.other) + rows.begin[row];
}

__global__ void begin_all(const KnnState state, int64_t* begin, int64_t capacity) {
    const int64_t q = thread_of_grid();
    if (q > state.hits.rows) return;
    begin[q] = q * capacity;
    if (q < state.hits.rows) state.kept[q] = 0;
}

__global__ void start_all(const KnnState state, uint64_t ceiling) {
    const int64_t q = thread_of_grid();
    if (q >= state.hits.rows) return;
    const int64_t kept = state.kept[q];
    const bool whole = kept >= state.k;
    state.limits[q] = whole ? state.hits.keys[state.hits.begin[q] + state.k - 1] : ceiling;
    state.hits.counts[q] = static_cast<unsigned long long>(kept);
    state.found_limits[q] = 0;
    state.search_limits[q] = 0;
}

/// A block a query.
__global__ void seed_all(const KnnState state) {
    __shared__ uint64_t room[threads];
    BlockTeam team(room);
    const int64_t q = blockIdx.x;
    const unsigned long long* counts = state.bins.counts + q * state.bins.bins;
    const RankPlace place = find_rank(team, counts, state.bins.bins, state.k);
    if (threadIdx.x != 0 || place.bin == state.bins.bins) return;
    const uint64_t limit = hit_key(place.bin + 1, 0);
    if (limit < state.limits[q]) state.limits[q] = limit;
}

__global__ void find_overflow_of_all(const KnnState state) {
    const int64_t q = thread_of_grid();
    if (q >= state.hits.rows) return;
    const int64_t room = state.hits.begin[q + 1] - state.hits.begin[q];
    if (static_cast<int64_t>(state.hits.counts[q]) <= room) return;
    state.lows[q] = 0;
    state.search_limits[q] = state.limits[q];
    state.wanted[q] = state.k;
}

__global__ void clear_bins_of_searched(const KnnState state) {
    const int64_t q = blockIdx.x;
    if (state.search_limits[q] == 0) return;
    for (int64_t i = threadIdx.x; i < state.bins.bins; i += threads)
        state.bins.counts[q * state.bins.bins + i] = 0;
}

/// A block a query.
__global__ void narrow_all(const KnnState state, int shift) {
    __shared__ uint64_t room[threads];
    BlockTeam team(room);
    const int64_t q = blockIdx.x;
    const uint64_t limit = state.search_limits[q];
    if (limit == 0) return;
    const unsigned long long* counts = state.bins.counts + q * state.bins.bins;
    const int64_t wanted = state.wanted[q];
    const RankPlace place = find_rank(team, counts, state.bins.bins, wanted);
    if (threadIdx.x != 0) return;
    const int64_t kept = state.kept[q];
    const int64_t free = state.hits.begin[q + 1] - state.hits.begin[q] - kept;
    const RankSearch next =
        narrow({state.lows[q], limit, wanted, false}, place,
               static_cast<int64_t>(counts[place.bin]), shift, state.k - wanted, free);
    state.lows[q] = next.low;
    state.wanted[q] = next.wanted;
    state.search_limits[q] = next.found ? 0 : next.limit;
    if (!next.found) return;
    state.found_limits[q] = next.limit;
    state.hits.counts[q] = static_cast<unsigned long long>(kept);
}

__global__ void keep_best_of_all(const KnnState state) {
    const int64_t q = blockIdx.y;
    const auto count = static_cast<int64_t>(state.hits.counts[q]);
    const int64_t best = count < state.k ? count : state.k;
    if (merges_of(count) % 2 != 0) {
        const int64_t begin = state.hits.begin[q];
        for (int64_t i = thread_of_grid(); i < best; i += int64_t{gridDim.x} * threads)
            state.hits.keys[begin + i] = state.hits.other[begin + i];
    }
    if (thread_of_grid() == 0) state.kept[q] = best;
}

__device__ int64_t id_at(const int64_t* id_of, uint64_t key) {
    const int64_t position = hit_position(key);
    return id_of == nullptr ? position : id_of[position];
}

__global__ void write_best_of_all(const KnnState state, const KnnRows out) {
    const int64_t q = blockIdx.y;
    const int64_t kept = state.kept[q];
    for (int64_t i = thread_of_grid(); i < out.k; i += int64_t{gridDim.x} * threads) {
        const bool there = i < kept;
        const uint64_t key = there ? state.hits.keys[state.hits.begin[q] + i] : 0;
        out.distances[q * out.k + i] =
            static_cast<int32_t>(there ? hit_distance(key) : out.bits + 1);
        out.ids[q * out.k + i] = there ? id_at(out.id_of, key) : -1;
    }
    if (thread_of_grid() == 0) out.counts[q] = kept;
}

__global__ void write_all(const SortedRows rows, const int64_t* id_of, int32_t* distances,
                          int64_t* ids) {
    const int64_t row = blockIdx.y;
    const auto count = static_cast<int64_t>(rows.counts[row]);
    const uint64_t* keys = sorted_row(rows, row);
    for (int64_t i = thread_of_grid(); i < count; i += int64_t{gridDim.x} * threads) {
        distances[rows.begin[row] + i] = static_cast<int32_t>(hit_distance(keys[i]));
        ids[rows.begin[row] + i] = id_at(id_of, keys[i]);
    }
}

__global__ void fill_all(uint64_t* values, int64_t count, uint64_t value) {
    const int64_t i = thread_of_grid();
    if (i < count) values[i] = value;
}

/// Blocks by the length of rows, of so many items each, and by rows.
dim3 blocks_by_rows(int64_t longest, int64_t items, int64_t rows) {
    return {blocks_for(longest, items), static_cast<unsigned>(rows)};
}

unsigned blocks_by_queries(const KnnState& state) {
    return static_cast<unsigned>(state.hits.rows);
}

}  // namespace

void sort_rows(const SortedRows& rows, const Stream& stream) {
    launch(stream, "sorting", sort_runs, blocks_by_rows(rows.longest, run_keys, rows.rows), threads,
           0, rows);
    for (int merge = 0; merge < merges_of(rows.longest); ++merge)
        launch(stream, "merging", merge_runs, blocks_by_rows(rows.longest, keys_a_block, rows.rows),
               threads, 0, rows, merge);
}

void begin_rows(const KnnState& state, const Stream& stream) {
    launch(stream, "a search", begin_all, blocks_for(state.hits.rows + 1, threads), threads, 0,
           state, const_cast<int64_t*>(state.hits.begin), state.hits.longest);
}

void start_codes(const KnnState& state, uint64_t ceiling, const Stream& stream) {
    launch(stream, "a search", start_all, blocks_for(state.hits.rows, threads), threads, 0, state,
           ceiling);
}

void seed_limits(const KnnState& state, const Stream& stream) {
    launch(stream, "the first limits", seed_all, blocks_by_queries(state), threads, 0, state);
}

void find_overflow(const KnnState& state, const Stream& stream) {
    launch(stream, "looking for lost hits", find_overflow_of_all,
           blocks_for(state.hits.rows, threads), threads, 0, state);
}

void clear_bins(const KnnState& state, const Stream& stream) {
    launch(stream, "clearing", clear_bins_of_searched, blocks_by_queries(state), threads, 0, state);
}

void narrow_limits(const KnnState& state, int shift, const Stream& stream) {
    launch(stream, "the exact limits", narrow_all, blocks_by_queries(state), threads, 0, state,
           shift);
}

void keep_best(const KnnState& state, const Stream& stream) {
    launch(stream, "keeping the best", keep_best_of_all,
           blocks_by_rows(state.k, keys_a_block, state.hits.rows), threads, 0, state);
}

void write_best(const KnnState& state, const KnnRows& out, const Stream& stream) {
    launch(stream, "writing hits", write_best_of_all,
           blocks_by_rows(out.k, keys_a_block, state.hits.rows), threads, 0, state, out);
}

void write_rows(const SortedRows& rows, const int64_t* id_of, int32_t* distances, int64_t* ids,
                const Stream& stream) {
    launch(stream, "writing hits", write_all, blocks_by_rows(rows.longest, keys_a_block, rows.rows),
           threads, 0, rows, id_of, distances, ids);
}

void fill(uint64_t* values, int64_t count, uint64_t value, const Stream& stream) {
    if (count == 0) return;
    launch(stream, "filling", fill_all, blocks_for(count, threads), threads, 0, values, count,
           value);
}

}  // namespace hashcore::cuda
