// One pass over a tile of codes that feeds the collectors of its queries.
//
// Two queries share each load. The distances of a group of blocks are folded by MIN, so that one
// compare a query decides whether anything in the group can be a hit; hits are rare and handled
// out of line.
#pragma once
#include "cpu/kernels/distances.inl.h"

namespace hashcore {
namespace {

/// How far ahead the first queries of a tile fetch it: past the page where hardware prefetchers
/// stop.
inline constexpr size_t words_ahead = 512;

/// Blocks whose distances share one compare.
template <size_t W>
inline constexpr size_t blocks_per_group = W == 1 || W == 2 ? 8 : (W == any_width ? 1 : 2);

/// Counts the hits from `first_new` on and lowers the limit to the k-th smallest distance so far.
inline void count_hits(Collector& collector, size_t first_new) {
    for (size_t i = first_new; i < collector.size; ++i) {
        const uint32_t distance = hit_distance(collector.hits[i]);
        ++collector.histogram[distance];
        collector.below += distance < collector.limit;
        while (collector.below >= collector.k) {
            const uint32_t farthest = collector.histogram[collector.limit - 1];
            if (collector.keeps_ties && collector.below - farthest < collector.k) break;
            --collector.limit;
            collector.below -= farthest;
        }
    }
}

/// Offers the lanes of one part that are set in `among`; the first is the code at `position`.
template <class V, size_t W>
[[gnu::always_inline]] inline void collect_part(const uint64_t* part, size_t words,
                                                const Query<V, W>* query, uint64_t position,
                                                unsigned among, Collector& collector) {
    typename V::Words distance[1];
    part_distances<V, W, 1>(part, words, query, distance);
    const unsigned hits = among & V::below(distance[0], V::broadcast(collector.limit));
    if (hits == 0) return;
    if (collector.size + codes_per_block > collector.capacity) collector.make_room(&collector);
    const size_t first_new = collector.size;
    V::append(collector.hits + first_new, hits, distance[0], position);
    collector.size += static_cast<size_t>(__builtin_popcount(hits));
    if (collector.histogram != nullptr) count_hits(collector, first_new);
}

/// Offers the first `code_count` codes of one block, or those of them that `allowed` lets through.
template <class V, size_t W>
[[gnu::always_inline]] inline void collect_block(const uint64_t* block, size_t code_count,
                                                 size_t words, const Query<V, W>* query,
                                                 uint64_t first, const uint8_t* allowed,
                                                 Collector& collector) {
    unsigned among = (1U << code_count) - 1U;
    if (allowed != nullptr) among &= *allowed;
    for (size_t p = 0; p < parts_per_block<V>; ++p)
        collect_part<V, W>(block + p * V::lanes, words, query, first + p * V::lanes,
                           among >> (p * V::lanes) & ((1U << V::lanes) - 1U), collector);
}

/// Offers each of `code_count` codes to one collector. Taken when a group has a hit.
template <class V, size_t W>
[[gnu::noinline]] void collect_blocks(const uint64_t* blocks, size_t code_count, size_t words,
                                      const uint64_t* query, uint64_t first, const uint8_t* allowed,
                                      Collector& collector) {
    const size_t width = W == any_width ? words : W;
    const Query<V, W> queries[1] = {Query<V, W>(query)};
    for (size_t start = 0; start < code_count; start += codes_per_block) {
        const size_t left = code_count - start;
        collect_block<V, W>(blocks + start * width, left < codes_per_block ? left : codes_per_block,
                            width, queries, first + start,
                            allowed == nullptr ? nullptr : allowed + start / codes_per_block,
                            collector);
    }
}

template <class V, size_t W, size_t Q>
void scan_queries(const uint64_t* blocks, size_t code_count, size_t words, const uint64_t* queries,
                  uint64_t first, const uint8_t* allowed, Collector* collectors, bool fetch_ahead) {
    constexpr size_t group = blocks_per_group<W>;
    constexpr size_t group_codes = group * codes_per_block;
    const size_t width = W == any_width ? words : W;

    typename V::Words limits[Q];
    for (size_t q = 0; q < Q; ++q) limits[q] = V::broadcast(collectors[q].limit);
    auto take = [&](size_t start, size_t count, size_t q) {
        collect_blocks<V, W>(
            blocks + start * width, count, width, queries + q * width, first + start,
            allowed == nullptr ? nullptr : allowed + start / codes_per_block, collectors[q]);
        limits[q] = V::broadcast(collectors[q].limit);
    };

    const Query<V, W> vector_queries[2] = {Query<V, W>(queries),
                                           Query<V, W>(queries + (Q - 1) * width)};
    size_t start = 0;
    for (; start + group_codes <= code_count; start += group_codes) {
        const auto part = [&](size_t p) {
            const size_t block = start / codes_per_block + p / parts_per_block<V>;
            return blocks + block * width * codes_per_block + p % parts_per_block<V> * V::lanes;
        };
        if (fetch_ahead)
            for (size_t line = 0; line < group * width; ++line)
                __builtin_prefetch(part(0) + group_codes * width + words_ahead + line * 8);
        typename V::Words nearest[Q];
        part_distances<V, W, Q>(part(0), width, vector_queries, nearest);
#pragma GCC unroll 32
        for (size_t p = 1; p < group * parts_per_block<V>; ++p) {
            typename V::Words distance[Q];
            part_distances<V, W, Q>(part(p), width, vector_queries, distance);
            for (size_t q = 0; q < Q; ++q) nearest[q] = V::min(nearest[q], distance[q]);
        }
        unsigned hits[Q];
        unsigned any = 0;
        for (size_t q = 0; q < Q; ++q) any |= hits[q] = V::below(nearest[q], limits[q]);
        if (any == 0) [[likely]]
            continue;
        for (size_t q = 0; q < Q; ++q)
            if (hits[q] != 0) take(start, group_codes, q);
    }
    if (start < code_count)
        for (size_t q = 0; q < Q; ++q) take(start, code_count - start, q);
}

template <class V, size_t W>
void scan_of_width(const uint64_t* blocks, size_t code_count, size_t words, const uint64_t* queries,
                   size_t query_count, uint64_t first, const uint8_t* allowed,
                   Collector* collectors) {
    size_t q = 0;
    for (; q + 2 <= query_count; q += 2)
        scan_queries<V, W, 2>(blocks, code_count, words, queries + q * words, first, allowed,
                              collectors + q, q == 0);
    if (q < query_count)
        scan_queries<V, W, 1>(blocks, code_count, words, queries + q * words, first, allowed,
                              collectors + q, q == 0);
}

template <class V>
void scan(const uint64_t* blocks, size_t code_count, size_t words, const uint64_t* queries,
          size_t query_count, uint64_t first, const uint8_t* allowed, Collector* collectors) {
    with_width(words, [&](auto width) {
        scan_of_width<V, width.value>(blocks, code_count, words, queries, query_count, first,
                                      allowed, collectors);
    });
}

}  // namespace
}  // namespace hashcore
