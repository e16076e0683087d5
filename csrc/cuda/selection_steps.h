// Steps of a search between its passes, each a kernel. Nothing here waits.
#pragma once
#include <cstdint>

#include "cuda/launch.h"
#include "cuda/selection.h"

namespace hashcore::cuda {

/// Rows of keys, sorted by merging runs from one buffer to the other and back.
struct SortedRows {
    uint64_t* keys;
    uint64_t* other;             ///< where a row is after an odd number of merges
    const int64_t* begin;        ///< [rows + 1]
    unsigned long long* counts;  ///< [rows] keys of each, at most its room
    int64_t rows;
    int64_t longest;  ///< no row has more
};

void sort_rows(const SortedRows& rows, const Stream& stream);

/// What a search for the k nearest holds of each query of a batch.
struct KnnState {
    SortedRows hits;   ///< begin[q] is q * capacity
    int64_t k;         ///< at most the capacity
    uint64_t* limits;  ///< [Q]
    int64_t* kept;     ///< [Q] the best so far, sorted, where the row begins
    KeyBins bins;
    // The exact search for the k-th key, where there was no room for all hits; a limit of 0 says
    // that a query does not need it.
    uint64_t* lows;           ///< [Q]
    uint64_t* search_limits;  ///< [Q]
    int64_t* wanted;          ///< [Q]
    uint64_t* found_limits;   ///< [Q] what it found
};

/// Rows of one capacity, and nothing kept.
void begin_rows(const KnnState& state, const Stream& stream);
/// Of the next codes, what is below `ceiling` and can still be among the k.
void start_codes(const KnnState& state, uint64_t ceiling, const Stream& stream);
/// Lowers limits to what the distances of some codes say.
void seed_limits(const KnnState& state, const Stream& stream);
/// Starts the exact search where hits were lost.
void find_overflow(const KnnState& state, const Stream& stream);
/// Clears the bins of queries that the exact search needs.
void clear_bins(const KnnState& state, const Stream& stream);
/// Takes what the bins of a pass say.
void narrow_limits(const KnnState& state, int shift, const Stream& stream);
/// Keeps the k best of each row, which are sorted.
void keep_best(const KnnState& state, const Stream& stream);

/// Where hits of a search go; rows of k, padded with -1 at bits + 1.
struct KnnRows {
    int32_t* distances;  ///< [Q, k]
    int64_t* ids;        ///< [Q, k]
    int64_t* counts;     ///< [Q]
    int64_t k;
    const int64_t* id_of;  ///< [positions], or null where they are ids
    int64_t bits;
};

void write_best(const KnnState& state, const KnnRows& out, const Stream& stream);

/// Rows of different lengths one behind the other.
void write_rows(const SortedRows& rows, const int64_t* id_of, int32_t* distances, int64_t* ids,
                const Stream& stream);

void fill(uint64_t* values, int64_t count, uint64_t value, const Stream& stream);

}  // namespace hashcore::cuda
