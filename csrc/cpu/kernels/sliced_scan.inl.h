// The scan for many queries: differing bits are counted by carry-save adders over bit planes, which
// takes fewer operations than a popcount.
//
// A slice is 64 * plane_lanes codes, transposed: plane b holds bit b of each of them. Take three
// planes and the three bits that a query has there: the number of differing bits is a sum plane and
// a carry plane. The sums of a word are added up in pairs by a chain of full adders whose running
// sum is the parity so far, so each adder's carry depends on the query by three parities only. Both
// kinds of carry, 21 + 11 a word, are therefore tabulated for their eight patterns, once a slice.
// A query looks its 32 carries up and adds them with 31 full adders: about 62 operations for a word
// of 512 codes with 512-bit registers.
//
// A level offers: plane_lanes, Plane (a vector of that many u64), xor3, majority, all_set.
#pragma once
#include "cpu/kernels/scan.inl.h"

namespace hashcore {
namespace {

inline constexpr size_t sliced_pattern_count = 8;
inline constexpr size_t carries_per_word = sliced_triples + sliced_pairs;

template <class V>
inline constexpr size_t codes_per_slice = 64 * V::plane_lanes;

/// Words of the table of one word of a slice.
template <class V>
inline constexpr size_t table_words = carries_per_word * sliced_pattern_count * V::plane_lanes;

template <class V>
inline typename V::Plane load_plane(const uint64_t* from) {
    typename V::Plane plane;
    __builtin_memcpy(&plane, from, sizeof plane);
    return plane;
}

template <class V>
inline void store_plane(uint64_t* to, typename V::Plane plane) {
    __builtin_memcpy(to, &plane, sizeof plane);
}

/// Swaps the off-diagonal quarters of every 2 Half x 2 Half square of bits.
template <unsigned Half, class Plane>
[[gnu::always_inline]] inline void swap_quarters(Plane* rows) {
    constexpr uint64_t low_halves = ~uint64_t{0} / ((uint64_t{1} << Half) + 1);
    for (unsigned square = 0; square < 64; square += 2 * Half) {
#pragma GCC unroll 32
        for (unsigned r = square; r < square + Half; ++r) {
            const Plane swapped = ((rows[r] >> Half) ^ rows[r + Half]) & low_halves;
            rows[r + Half] ^= swapped;
            rows[r] ^= swapped << Half;
        }
    }
}

/// Transposes 64 x 64 bits in every lane: bit c of rows[r] becomes bit r of rows[c].
template <class Plane>
void transpose(Plane* rows) {
    swap_quarters<32>(rows);
    swap_quarters<16>(rows);
    swap_quarters<8>(rows);
    swap_quarters<4>(rows);
    swap_quarters<2>(rows);
    swap_quarters<1>(rows);
}

/// Bit planes of word `w` of a slice. Lane l, bit r of a plane is code r * plane_lanes + l.
template <class V>
void load_planes(const uint64_t* blocks, size_t words, size_t w, typename V::Plane* planes) {
    for (size_t r = 0; r < 64; ++r) {
        const size_t code = r * V::plane_lanes;
        planes[r] = load_plane<V>(blocks + (code / codes_per_block * words + w) * codes_per_block +
                                  code % codes_per_block);
    }
    transpose(planes);
}

/// Carries of adding a, b and c where bit 0, 1 and 2 of a pattern say which are complemented.
template <class V>
void tabulate(typename V::Plane a, typename V::Plane b, typename V::Plane c, uint64_t* entry) {
    const typename V::Plane carry[4] = {V::majority(a, b, c), V::majority(~a, b, c),
                                        V::majority(a, ~b, c), V::majority(a, b, ~c)};
    const size_t pattern[4] = {0, 1, 2, 4};
    for (size_t i = 0; i < 4; ++i) {
        store_plane<V>(entry + pattern[i] * V::plane_lanes, carry[i]);
        store_plane<V>(entry + (7 - pattern[i]) * V::plane_lanes, ~carry[i]);
    }
}

/// Fills `table` [words, carries_per_word, 8] with the carry planes of the slice at `blocks`.
template <class V>
void slice_codes(const uint64_t* blocks, size_t words, uint64_t* table) {
    using Plane = typename V::Plane;
    constexpr size_t entry = sliced_pattern_count * V::plane_lanes;
    Plane parity = {};
    for (size_t w = 0; w < words; ++w) {
        Plane planes[64];
        load_planes<V>(blocks, words, w, planes);
        for (size_t t = 0; t < sliced_triples; ++t, table += entry)
            tabulate<V>(planes[3 * t], planes[3 * t + 1], planes[3 * t + 2], table);
        for (size_t p = 0; p < sliced_pairs; ++p, table += entry) {
            const Plane* first = planes + 6 * p;
            const Plane sum = V::xor3(first[0], first[1], first[2]);
            const Plane next =
                p + 1 == sliced_pairs ? first[3] : V::xor3(first[3], first[4], first[5]);
            tabulate<V>(parity, sum, next, table);
            parity = V::xor3(parity, sum, next);
        }
    }
}

constexpr unsigned parity_of_three(uint64_t word, size_t bit) {
    return static_cast<unsigned>((word >> bit ^ word >> (bit + 1) ^ word >> (bit + 2)) & 1U);
}

/// Where each word of the queries [query_count, words] finds its carries.
template <class V>
void slice_queries(const uint64_t* queries, size_t query_count, size_t words, SlicedWord* out) {
    const auto offset = [](uint64_t pattern) {
        return static_cast<uint8_t>(pattern * V::plane_lanes);
    };
    for (; query_count != 0; --query_count) {
        unsigned parity = 0;
        for (size_t w = 0; w < words; ++w, ++queries, ++out) {
            const uint64_t word = *queries;
            for (size_t t = 0; t < sliced_triples; ++t)
                out->triple[t] = offset(word >> (3 * t) & 7);
            for (size_t p = 0; p < sliced_pairs; ++p) {
                const unsigned sum = parity_of_three(word, 6 * p);
                const unsigned next = p + 1 == sliced_pairs ? static_cast<unsigned>(word >> 63)
                                                            : parity_of_three(word, 6 * p + 3);
                const unsigned pattern = parity | sum << 1 | next << 2;
                out->pair[0][p] = offset(pattern);
                out->pair[1][p] = offset(pattern ^ 1U);
                parity ^= sum ^ next;
            }
        }
    }
}

/// Counters of all codes of a slice, bit plane by bit plane from weight 2 on; `held` is a plane
/// that waits for a second one of its weight. Every `holds` is known while compiling.
template <class V>
struct PlaneCounter {
    using Plane = typename V::Plane;
    static constexpr size_t levels = 5;  // weights 2 to 32: a word gives 32 carries of weight 2

    Plane sum[levels];
    Plane held[levels];
    bool holds[levels] = {};
    Plane carry;  ///< of weight 64, one a word

    template <size_t Level>
    [[gnu::always_inline]] void add(Plane plane) {
        if constexpr (Level == levels) {
            carry = plane;
        } else if (!holds[Level]) {
            held[Level] = plane;
            holds[Level] = true;
        } else {
            const Plane up = V::majority(sum[Level], held[Level], plane);
            sum[Level] = V::xor3(sum[Level], held[Level], plane);
            holds[Level] = false;
            add<Level + 1>(up);
        }
    }
};

inline constexpr uint64_t plane_of_bit[2] = {0, ~uint64_t{0}};

/// The codes at or past `limit`, one bit each. `HighPlanes` counters of weight 64 and more hold any
/// distance: 64 * words < 2^(6 + HighPlanes). They start at 2^(6 + HighPlanes) - limit, so that
/// they overflow at the limit.
template <class V, size_t HighPlanes>
[[gnu::always_inline]] inline typename V::Plane past_limit(const uint64_t* table,
                                                           const SlicedWord* query, size_t words,
                                                           uint32_t limit) {
    using Plane = typename V::Plane;
    const uint64_t start = (uint64_t{1} << (6 + HighPlanes)) - limit;
    const auto start_plane = [&](size_t bit) { return Plane{} + plane_of_bit[start >> bit & 1]; };
    PlaneCounter<V> counter;
    for (size_t i = 0; i < PlaneCounter<V>::levels; ++i) counter.sum[i] = start_plane(i + 1);
    Plane high[HighPlanes];
    for (size_t i = 0; i < HighPlanes; ++i) high[i] = start_plane(i + 6);
    Plane overflow = {};
    for (size_t w = 0; w < words; ++w, ++query, table += table_words<V>) {
        const uint8_t* pair = query->pair[start & 1];
        const auto carry = [&](size_t index, size_t offset) {
            return load_plane<V>(table + index * sliced_pattern_count * V::plane_lanes + offset);
        };
#pragma GCC unroll 11
        for (size_t p = 0; p < sliced_pairs; ++p) {
            counter.template add<0>(carry(2 * p, query->triple[2 * p]));
            if (2 * p + 1 < sliced_triples)
                counter.template add<0>(carry(2 * p + 1, query->triple[2 * p + 1]));
            counter.template add<0>(carry(sliced_triples + p, pair[p]));
        }
        Plane up = counter.carry;
        for (size_t i = 0; i < HighPlanes; ++i) {
            const Plane next = high[i] & up;
            high[i] ^= up;
            up = next;
        }
        overflow |= up;
    }
    return overflow;
}

/// Offers the blocks of a slice that hold a code within the limit, exactly, to the collector.
template <class V, size_t W>
[[gnu::noinline]] void collect_slice(const uint64_t* blocks, size_t words, const uint64_t* query,
                                     uint64_t first, const uint8_t* allowed,
                                     typename V::Plane overflow, Collector& collector) {
    constexpr size_t parts = codes_per_block / V::plane_lanes;
    constexpr uint64_t block_bits = (uint64_t{1} << parts) - 1;
    const size_t width = W == any_width ? words : W;
    const Query<V, W> queries[1] = {Query<V, W>(query)};
    uint64_t lanes[V::plane_lanes];
    store_plane<V>(lanes, ~overflow);
    uint64_t within = 0;
    for (const uint64_t lane : lanes) within |= lane;
    while (within != 0) {
        const auto block = static_cast<size_t>(__builtin_ctzll(within)) / parts;
        within &= ~(block_bits << (block * parts));
        collect_block<V, W>(blocks + block * width * codes_per_block, codes_per_block, width,
                            queries, first + block * codes_per_block,
                            allowed == nullptr ? nullptr : allowed + block, collector);
    }
}

template <class V, size_t HighPlanes>
void scan_slice(const uint64_t* blocks, size_t words, const uint64_t* table,
                const uint64_t* queries, const SlicedWord* sliced, size_t query_count,
                uint64_t first, const uint8_t* allowed, Collector* collectors) {
    for (size_t q = 0; q < query_count; ++q) {
        // Every query fetches another line of the slices that follow.
        __builtin_prefetch(blocks + codes_per_slice<V> * words + q * 8);
        const uint32_t limit = collectors[q].limit;
        const typename V::Plane overflow =
            past_limit<V, HighPlanes>(table, sliced + q * words, words, limit);
        if (V::all_set(overflow)) [[likely]]
            continue;
        with_width(words, [&](auto width) {
            collect_slice<V, width.value>(blocks, words, queries + q * words, first, allowed,
                                          overflow, collectors[q]);
        });
    }
}

/// Scans the whole slices of `code_count` codes; returns how many codes that were.
template <class V>
size_t scan_sliced(const uint64_t* blocks, size_t code_count, size_t words, const uint64_t* queries,
                   const SlicedWord* sliced, size_t query_count, uint64_t first,
                   const uint8_t* allowed, Collector* collectors, uint64_t* table) {
    static_assert(max_sliced_words < 64, "scan_slice is called with up to six high planes");
    decltype(&scan_slice<V, 1>) scans[] = {scan_slice<V, 1>, scan_slice<V, 2>, scan_slice<V, 3>,
                                           scan_slice<V, 4>, scan_slice<V, 5>, scan_slice<V, 6>};
    const auto scan_one = scans[63 - __builtin_clzll(words)];
    size_t done = 0;
    for (; done + codes_per_slice<V> <= code_count; done += codes_per_slice<V>) {
        slice_codes<V>(blocks + done * words, words, table);
        scan_one(blocks + done * words, words, table, queries, sliced, query_count, first + done,
                 allowed == nullptr ? nullptr : allowed + done / codes_per_block, collectors);
    }
    return done;
}

}  // namespace
}  // namespace hashcore
