// What the two AVX-512 levels share: everything but counting bits.
#pragma once
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace hashcore {
namespace {

struct Avx512Common {
    static constexpr size_t lanes = 8;
    using Words = __m512i;
    using Sum = __m512i;

    static Words load(const uint64_t* from) { return _mm512_loadu_si512(from); }
    static Words broadcast(uint64_t value) {
        return _mm512_set1_epi64(static_cast<long long>(value));
    }
    static Sum zero() { return _mm512_setzero_si512(); }
    static Words add(Words a, Words b) { return _mm512_add_epi64(a, b); }
    // Distances fit in 32 bits and the upper halves are zero, so a 32-bit minimum is exact; the
    // 64-bit one has three times its latency on some processors.
    static Words min(Words a, Words b) { return _mm512_min_epu32(a, b); }
    static unsigned below(Words a, Words limit) { return _mm512_cmplt_epu64_mask(a, limit); }
    static void store(uint32_t* to, Words x) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtepi64_epi32(x));
    }
};

}  // namespace
}  // namespace hashcore
