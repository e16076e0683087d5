// What one instruction-set level offers. Included by the ISA units: no STL here.
#pragma once
#include <cstddef>
#include <cstdint>

#include "hashcore/relaxed_sign.h"

namespace hashcore {

/// Codes of a block: the word-interleaved layout keeps word w of eight neighbouring codes side by
/// side, at blocks[(block * words + w) * codes_per_block + lane].
inline constexpr size_t codes_per_block = 8;

/// A hit packed into one integer that sorts by (distance, position).
using Hit = uint64_t;
inline constexpr unsigned position_bits = 40;

constexpr Hit make_hit(uint32_t distance, uint64_t position) {
    return (uint64_t{distance} << position_bits) | position;
}
constexpr uint32_t hit_distance(Hit hit) {
    return static_cast<uint32_t>(hit >> position_bits);
}
constexpr uint64_t hit_position(Hit hit) {
    return hit & ((uint64_t{1} << position_bits) - 1);
}

/// An item of a tile and its distance, packed into one integer that sorts by (distance, item).
using TileHit = uint32_t;
inline constexpr unsigned tile_item_bits = 10;

constexpr TileHit make_tile_hit(uint32_t distance, uint32_t item) {
    return distance << tile_item_bits | item;
}
constexpr uint32_t tile_hit_distance(TileHit hit) {
    return hit >> tile_item_bits;
}
constexpr uint32_t tile_hit_item(TileHit hit) {
    return hit & ((1U << tile_item_bits) - 1);
}

/// One query's selection while a scan runs over ascending positions.
///
/// A code is taken when its distance is below `limit`. With a histogram, `limit` falls to the
/// current k-th smallest distance: a later code at that distance has a larger position and loses
/// the tie, so `<` is exact. Where `keeps_ties`, positions decide no tie and `limit` stays one
/// above that distance. Without a histogram (radius search) `limit` stays where it is. Hits at or
/// past a limit that has fallen since may still be among `hits`.
struct Collector {
    uint32_t limit;
    uint64_t k;
    uint64_t below;  ///< hits taken with distance < limit; without ties it stays < k
    bool keeps_ties;
    uint32_t* histogram;  ///< [bits + 1] hits taken at each distance, or null
    Hit* hits;
    size_t size;
    size_t capacity;
    void (*make_room)(Collector*);  ///< leaves room for codes_per_block hits more
    void* owner;
};

/// Entries [begin, begin + count) of a hash table, all at distance `base` in the bits of their key.
struct Bucket {
    uint64_t begin;
    uint32_t count;
    uint32_t base;
};

/// Some bits of one word.
struct WordMask {
    uint64_t word;
    uint64_t mask;
};

/// A key whose neighbours have been looked up: every code within `radius` of the query in the bits
/// of `parts` has been met.
struct SeenKey {
    const WordMask* parts;
    uint32_t part_count;
    uint32_t radius;
};

/// Threes of bits of a word, and pairs of those threes (the last bit stands for a three), whose
/// carries the sliced scan looks up.
inline constexpr size_t sliced_triples = 21;
inline constexpr size_t sliced_pairs = 11;
inline constexpr size_t max_sliced_words = 32;

/// One word of a query of the sliced scan: offsets into the tables of its carries.
struct SlicedWord {
    uint8_t triple[sliced_triples];
    uint8_t pair[2][sliced_pairs];  ///< by the parity that the count starts with
};

template <class T>
using PackRows = size_t(const T* values, size_t row_count, size_t bits, T threshold,
                        uint8_t* packed);

/// Lanes of a sum over the elements of a query and a row. Element i is multiplied, then added to
/// lane i % sum_lanes, with no fused multiply-add; then lane j takes lane j + 16, j + 8, 4, 2, 1.
/// The order is the same at every level, so that all give the same bits.
inline constexpr size_t sum_lanes = 32;

/// Sums of one query with `count` rows of `dims` elements; row i is number ids[i]. The query is
/// padded with zeros to a multiple of sum_lanes. `squares` is written by dot_and_square only.
using RowSums = void (*)(const void* query, const void* rows, size_t dims, const int64_t* ids,
                         size_t count, float* sums, float* squares);

struct RowKernels {
    RowSums dot;
    RowSums squared_distance;
    RowSums dot_and_square;  ///< and the row's sum of squares
};

/// By the elements of query and rows; halves as their bits. Sums of int16 and int8, at most
/// 65,536 of them, are exact until the one rounding to float.
struct RowSumKernels {
    RowKernels f32_f32, f32_f16, f32_i8, i16_i8;
    RowSums f32_bits;  ///< +query[i] where bit i ^ 7 of a packed code is set, -query[i] elsewhere
};

/// Over values x: sums of ln(1 + e^x) and of its derivative.
struct LogisticSums {
    double loss;
    double slope;
};

/// An integer beside each value, as wide as that: lanes of both go side by side.
template <size_t bytes>
struct MarkOfSize;
template <>
struct MarkOfSize<4> {
    using Type = int32_t;
};
template <>
struct MarkOfSize<8> {
    using Type = int64_t;
};
template <class T>
using Mark = typename MarkOfSize<sizeof(T)>::Type;

/// Products of an anchor with candidates, and how they become distances; see ProductBlock.
template <class T>
struct DistanceRow {
    const T* products;
    T own_square;
    const T* squares;  ///< null for d = -product
};

/// The farthest value that is marked 1 and the nearest that is marked 0; the first of equal ones.
template <class T>
struct Extremes {
    T farthest, nearest;
    int64_t farthest_at, nearest_at;  ///< -1 where there is none
    int64_t ones, zeros;              ///< how many there are
    bool finite;                      ///< whether all products are
};

/// Of training losses, for values of one type.
template <class T>
struct LossKernels {
    /// Of x = threshold - values[i]; `weight` times each derivative is taken from slopes[i].
    LogisticSums (*logistic)(const T* values, size_t count, T threshold, double weight,
                             double* slopes);

    /// Marks the columns that share a label with a row 1, others 0.
    void (*mark_similar)(const uint64_t* row, const uint64_t* columns, size_t words, size_t count,
                         Mark<T>* similar);

    /// How many of `size` thresholds lie below each value, or are equal to it where `or_equal`:
    /// for few thresholds, which each value is compared with.
    void (*count_below)(const T* thresholds, size_t size, bool or_equal, const T* values,
                        size_t count, Mark<T>* below);

    Extremes<T> (*extremes)(const DistanceRow<T>& row, const Mark<T>* marks, size_t count);

    /// Sums ln(1 + e^theta) - similar[i] theta, theta = scale * values[i], and leaves the
    /// derivative by theta in place of the value.
    double (*pair_likelihood)(T* values, const Mark<T>* similar, size_t count, T scale);

    /// Of rows [rows, bits] at a time; see hashcore/ops.h.
    void (*relaxed_sign_sums)(const T* values, const T* targets, size_t rows, size_t bits,
                              const RelaxedSignRule& rule, T* relaxed, RelaxedSignSums& sums);
    void (*relaxed_sign_slopes)(const T* values, const T* targets, size_t rows, size_t bits,
                                const RelaxedSignRule& rule, const RelaxedSignWeights<T>& weights,
                                bool continued, T* slopes);

    /// Multiplies rows [rows, bits], takes 1 from the diagonal, on which row 0 is in column
    /// `first`, and returns the sum of the squares.
    double (*correlate)(T* products, size_t first, size_t rows, size_t bits, T scale);
};

struct KernelTable {
    const char* name;

    /// Distances of one query [words] to `block_count` blocks; out is [block_count * 8].
    void (*distances)(const uint64_t* blocks, size_t block_count, size_t words,
                      const uint64_t* query, uint32_t* out);

    /// Offers `code_count` codes, whose first has position `first`, to `query_count` collectors;
    /// with `allowed` (a byte a block) only those whose bit is set.
    void (*scan)(const uint64_t* blocks, size_t code_count, size_t words, const uint64_t* queries,
                 size_t query_count, uint64_t first, const uint8_t* allowed, Collector* collectors);

    /// The same for many queries of up to max_sliced_words words; see kernels/sliced_scan.inl.h.
    /// slice_queries() fills `sliced` [query_count, words] once; scan_sliced() needs scratch of
    /// `sliced_table_words` for each word, scans as many codes as make whole slices, and returns
    /// how many those were.
    size_t sliced_table_words;
    void (*slice_queries)(const uint64_t* queries, size_t query_count, size_t words,
                          SlicedWord* sliced);
    size_t (*scan_sliced)(const uint64_t* blocks, size_t code_count, size_t words,
                          const uint64_t* queries, const SlicedWord* sliced, size_t query_count,
                          uint64_t first, const uint8_t* allowed, Collector* collectors,
                          uint64_t* scratch);

    /// Write the entries of buckets whose distance to the query is below `limit` to `found`, as
    /// hits with the entry as position, in the buckets' order; return how many. `found` has room
    /// for all entries and codes_per_block more; up to 64 bytes past the last entry are read.
    /// An entry of word buckets is the code; one of rest buckets its `rest_bytes` (1..8) bytes that
    /// the key leaves.
    size_t (*scan_word_buckets)(const uint64_t* codes, const Bucket* buckets, size_t bucket_count,
                                uint64_t query, uint32_t limit, Hit* found);
    size_t (*scan_rest_buckets)(const uint8_t* rests, size_t rest_bytes, const Bucket* buckets,
                                size_t bucket_count, uint64_t query, uint32_t limit, Hit* found);

    /// The same for rows [row_bytes], of at least eight bytes, by their numbers.
    size_t (*scan_rows)(const uint8_t* rows, size_t row_bytes, const uint32_t* numbers,
                        size_t count, const uint64_t* query, uint32_t limit, Hit* found);

    /// Drops hits that one of the keys says have been met, and returns how many are left. A hit's
    /// words begin at entries + position * entry_bytes; up to 7 bytes past them are read.
    size_t (*drop_seen)(Hit* found, size_t count, const uint8_t* entries, size_t entry_bytes,
                        const uint64_t* query, const SeenKey* seen, size_t seen_count);

    /// Lists the items of a tile whose bit is set in `mask` [words], ascending, and returns how
    /// many they are. `distances` and `hits` are [64 * words]; hits past the list are overwritten.
    size_t (*list_hits)(const uint32_t* distances, const uint64_t* mask, size_t words,
                        TileHit* hits);

    /// Packs `values > threshold` of rows [row_count, bits], most significant bit first, pad bits
    /// zero. Returns the first row with a NaN, or row_count. Halves come as their bits, their
    /// threshold as half_order() of it.
    PackRows<float>* pack_f32;
    PackRows<double>* pack_f64;
    PackRows<int16_t>* pack_f16;
    PackRows<int8_t>* pack_i8;

    /// Bit i of `bits` [count / 64 + 1] is whether values[i] is not zero; zero past `count`.
    void (*nonzero_bits)(const uint8_t* values, size_t count, uint64_t* bits);

    RowSumKernels row_sums;

    LossKernels<float> losses_f32;
    LossKernels<double> losses_f64;
};

}  // namespace hashcore
