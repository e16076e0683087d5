// The loops, written once on the primitives of a level.
//
// V::keep(x) tells the compiler that x may have changed: no instruction, but nothing computed from
// x can be left out, moved out of the loop or merged with what another iteration computed.
#pragma once
#include "level.h"

namespace hashcore::limits {
namespace {

inline constexpr size_t chains = 8;

template <class V, class Step>
inline void repeat(size_t iterations, Step step) {
    typename V::Vector x[chains];
    typename V::Vector operand = V::broadcast(0x0123456789abcdef);
#pragma GCC unroll 8
    for (size_t c = 0; c < chains; ++c) x[c] = V::broadcast(c);
    V::keep(operand);
    for (size_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 8
        for (size_t c = 0; c < chains; ++c) {
            step(x[c], operand);
            V::keep(x[c]);
        }
    }
}

template <class V>
void repeat_add(size_t iterations) {
    repeat<V>(iterations, [](auto& x, auto operand) { x = V::add(x, operand); });
}
template <class V>
void repeat_compare(size_t iterations) {
    repeat<V>(iterations, [](auto& x, auto operand) { V::compare(x, operand); });
}
template <class V>
void repeat_logic(size_t iterations) {
    repeat<V>(iterations, [](auto& x, auto operand) { x = V::logic(x, operand); });
}
template <class V>
void repeat_min(size_t iterations) {
    repeat<V>(iterations, [](auto& x, auto operand) { x = V::min(x, operand); });
}
template <class V>
void repeat_popcount(size_t iterations) {
    repeat<V>(iterations, [](auto& x, auto) { x = V::popcount(x); });
}
template <class V>
void repeat_xor(size_t iterations) {
    repeat<V>(iterations, [](auto& x, auto operand) { x = V::exclusive_or(x, operand); });
}

inline constexpr size_t scanned_vectors = 4;

/// What a batched scan cannot do without: W xor, W counts, W - 1 additions and a minimum for the
/// codes of a vector. Loads, compares and everything about hits are left out.
template <class V, size_t W>
void repeat_scan(size_t iterations) {
    typename V::Vector codes[2] = {V::broadcast(0x0123456789abcdef), V::broadcast(0xfedcba98)};
    typename V::Vector query = V::broadcast(0x5a5a5a5a5a5a5a5a);
    typename V::Vector nearest[scanned_vectors];
#pragma GCC unroll 4
    for (size_t v = 0; v < scanned_vectors; ++v) nearest[v] = V::broadcast(64 * W);
    V::keep(query);
    for (size_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 4
        for (size_t v = 0; v < scanned_vectors; ++v) {
            V::keep(codes[0]);
            typename V::Vector sum = V::popcount(V::exclusive_or(codes[0], query));
#pragma GCC unroll 16
            for (size_t w = 1; w < W; ++w) {
                V::keep(codes[w % 2]);
                sum = V::add_counts(sum, V::popcount(V::exclusive_or(codes[w % 2], query)));
            }
            nearest[v] = V::min(nearest[v], V::widen(sum));
            V::keep(nearest[v]);
        }
    }
}

template <class V>
uint64_t sum_words(const uint64_t* words, size_t count) {
    constexpr size_t lanes = V::bits / 64;
    constexpr size_t step = 8 * lanes;
    typename V::Vector sums[8];
#pragma GCC unroll 8
    for (size_t s = 0; s < 8; ++s) sums[s] = V::broadcast(0);
    for (size_t start = 0; start < count; start += step) {
#pragma GCC unroll 8
        for (size_t s = 0; s < 8; ++s)
            sums[s] = V::add(sums[s], V::load(words + start + s * lanes));
    }
#pragma GCC unroll 8
    for (size_t s = 1; s < 8; ++s) sums[0] = V::add(sums[0], sums[s]);
    return V::first_lane(sums[0]);
}

template <class V, size_t W>
constexpr Scan scan_of() {
    return {W, {repeat_scan<V, W>, scanned_vectors * (V::bits / 64)}};
}

template <class V>
constexpr Level make_level(const char* name) {
    return {name,
            V::bits,
            V::sliced_operations,
            {{"add", {repeat_add<V>, chains}},
             {"compare", {repeat_compare<V>, chains}},
             {"logic", {repeat_logic<V>, chains}},
             {"min", {repeat_min<V>, chains}},
             {"popcount", {repeat_popcount<V>, chains}},
             {"xor", {repeat_xor<V>, chains}}},
            {scan_of<V, 1>(), scan_of<V, 2>(), scan_of<V, 4>(), scan_of<V, 8>(), scan_of<V, 16>()},
            sum_words<V>};
}

}  // namespace
}  // namespace hashcore::limits
