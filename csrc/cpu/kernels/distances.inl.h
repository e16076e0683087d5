// Hamming distances of one or more queries to interleaved blocks, on the primitives of a level.
//
// A level `V` offers: lanes, Words (a vector of u64 lanes), Sum (bit counts being added up),
// words_per_sum (how many words a Sum holds before it must be widened), load, gather (a vector of
// what word_of(lane) gives), load_packed (of words of fewer bytes, as its Packing says), broadcast,
// zero, add_bits, widen, add, min, below, store, append.
#pragma once
#include <cstddef>
#include <cstdint>

#include "cpu/kernel_table.h"

namespace hashcore {
namespace {

/// Appends the lanes of `mask` as hits, lane 0 at `position`. It may write codes_per_block hits,
/// whatever the mask.
template <class V>
void append_by_lane(Hit* to, unsigned mask, typename V::Words distances, uint64_t position) {
    uint32_t lanes[V::lanes];
    V::store(lanes, distances);
    for (; mask != 0; mask &= mask - 1) {
        const auto lane = static_cast<unsigned>(__builtin_ctz(mask));
        *to++ = make_hit(lanes[lane], position + lane);
    }
}

/// Vectors that make up one word row of a block.
template <class V>
inline constexpr size_t parts_per_block = codes_per_block / V::lanes;

/// A query whose width is small enough to stay in registers.
template <class V, size_t W>
struct RegisterQuery {
    typename V::Words words[W];

    explicit RegisterQuery(const uint64_t* query) {
        for (size_t w = 0; w < W; ++w) words[w] = V::broadcast(query[w]);
    }
    typename V::Words word(size_t w) const { return words[w]; }
};

/// A wide query, broadcast from memory word by word.
template <class V>
struct MemoryQuery {
    const uint64_t* words;

    explicit MemoryQuery(const uint64_t* query) : words(query) {}
    typename V::Words word(size_t w) const { return V::broadcast(words[w]); }
};

inline constexpr size_t any_width = 0;
inline constexpr size_t register_words = 4;

template <class V, size_t W, bool InRegisters = (W != any_width && W <= register_words)>
struct QueryOf {
    using Type = MemoryQuery<V>;
};
template <class V, size_t W>
struct QueryOf<V, W, true> {
    using Type = RegisterQuery<V, W>;
};
template <class V, size_t W>
using Query = typename QueryOf<V, W>::Type;

/// Bits in which words [start, end) of Q queries differ from the V::lanes codes of one part. The
/// range is within one Sum; the queries share each load.
template <class V, size_t W, size_t Q>
[[gnu::always_inline]] inline void part_sums(const uint64_t* part, size_t start, size_t end,
                                             const Query<V, W>* queries, typename V::Words* out) {
    typename V::Sum sums[Q];
    for (size_t q = 0; q < Q; ++q) sums[q] = V::zero();
    for (size_t w = start; w < end; ++w) {
        const typename V::Words codes = V::load(part + w * codes_per_block);
        for (size_t q = 0; q < Q; ++q) sums[q] = V::add_bits(sums[q], codes, queries[q].word(w));
    }
    for (size_t q = 0; q < Q; ++q) out[q] = V::widen(sums[q]);
}

/// Distances of Q queries to one part. `W` is the number of words, or any_width to take it from
/// `words`.
template <class V, size_t W, size_t Q>
[[gnu::always_inline]] inline void part_distances(const uint64_t* part, size_t words,
                                                  const Query<V, W>* queries,
                                                  typename V::Words* out) {
    const size_t width = W == any_width ? words : W;
    size_t start = width < V::words_per_sum ? width : V::words_per_sum;
    part_sums<V, W, Q>(part, 0, start, queries, out);
    while (start < width) {
        const size_t end = width - start < V::words_per_sum ? width : start + V::words_per_sum;
        typename V::Words more[Q];
        part_sums<V, W, Q>(part, start, end, queries, more);
        for (size_t q = 0; q < Q; ++q) out[q] = V::add(out[q], more[q]);
        start = end;
    }
}

template <class V, size_t W>
void distances_of_width(const uint64_t* blocks, size_t block_count, size_t words,
                        const uint64_t* query, uint32_t* out) {
    const size_t width = W == any_width ? words : W;
    const Query<V, W> queries[1] = {Query<V, W>(query)};
    for (size_t b = 0; b < block_count; ++b) {
        for (size_t p = 0; p < parts_per_block<V>; ++p) {
            typename V::Words distance[1];
            part_distances<V, W, 1>(blocks + b * width * codes_per_block + p * V::lanes, width,
                                    queries, distance);
            V::store(out + b * codes_per_block + p * V::lanes, distance[0]);
        }
    }
}

/// Calls call(Width<W>{}) with the number of words as a constant where there is code for it, and
/// with any_width where there is not.
template <size_t W>
struct Width {
    static constexpr size_t value = W;
};
template <class Call>
void with_width(size_t words, const Call& call) {
    switch (words) {
        case 1:
            return call(Width<1>{});
        case 2:
            return call(Width<2>{});
        case 4:
            return call(Width<4>{});
        case 8:
            return call(Width<8>{});
        case 16:
            return call(Width<16>{});
        default:
            return call(Width<any_width>{});
    }
}

template <class V>
void distances(const uint64_t* blocks, size_t block_count, size_t words, const uint64_t* query,
               uint32_t* out) {
    with_width(words, [&](auto width) {
        distances_of_width<V, width.value>(blocks, block_count, words, query, out);
    });
}

}  // namespace
}  // namespace hashcore
