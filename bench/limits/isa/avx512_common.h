// What the two AVX-512 levels share: everything but counting bits.
#pragma once
#include <immintrin.h>

#include "level.h"

namespace hashcore::limits {
namespace {

struct Avx512Common {
    static constexpr size_t bits = 512;
    static constexpr size_t sliced_operations = 2 * sliced_full_adders;
    using Vector = __m512i;

    static void keep(Vector& x) { asm volatile("" : "+v"(x)); }
    static Vector broadcast(uint64_t value) {
        return _mm512_set1_epi64(static_cast<long long>(value));
    }
    static Vector load(const uint64_t* from) { return _mm512_loadu_si512(from); }
    static uint64_t first_lane(Vector x) {
        return static_cast<uint64_t>(_mm_cvtsi128_si64(_mm512_castsi512_si128(x)));
    }
    static Vector add(Vector a, Vector b) { return _mm512_add_epi64(a, b); }
    static void compare(Vector a, Vector b) {
        __mmask8 less = _mm512_cmplt_epu64_mask(a, b);
        asm volatile("" : "+k"(less));
    }
    static Vector exclusive_or(Vector a, Vector b) { return _mm512_xor_si512(a, b); }
    static Vector logic(Vector a, Vector b) { return _mm512_ternarylogic_epi64(a, b, b, 0xe8); }
    static Vector min(Vector a, Vector b) { return _mm512_min_epu32(a, b); }
};

}  // namespace
}  // namespace hashcore::limits
