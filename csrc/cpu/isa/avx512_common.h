// What the two AVX-512 levels share: everything but counting bits.
#pragma once
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "cpu/kernel_table.h"
#include "cpu/kernels/pack.inl.h"
#include "cpu/kernels/packed_words.inl.h"

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
    static __m512i join(__m128i a, __m128i b, __m128i c, __m128i d) {
        const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1);
        const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(c), d, 1);
        return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    }
    template <class WordOf>
    static Words gather(const WordOf& word_of) {
        const auto pair = [&](size_t i) {
            return _mm_set_epi64x(static_cast<long long>(word_of(i + 1)),
                                  static_cast<long long>(word_of(i)));
        };
        return join(pair(0), pair(2), pair(4), pair(6));
    }
    /// Two of them lie in 16 bytes; zeros are shuffled in above each.
    struct Packing {
        size_t bytes;
        __m512i order;
        explicit Packing(size_t width) : bytes(width) {
            uint8_t from[16];
            pair_order(width, from);
            order = _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<__m128i*>(from)));
        }
    };
    static Words load_packed(const uint8_t* from, const Packing& packing) {
        const auto pair = [&](size_t i) {
            return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i * packing.bytes));
        };
        return _mm512_shuffle_epi8(join(pair(0), pair(2), pair(4), pair(6)), packing.order);
    }
    static Sum zero() { return _mm512_setzero_si512(); }
    static Words add(Words a, Words b) { return _mm512_add_epi64(a, b); }
    // Distances fit in 32 bits and the upper halves are zero, so a 32-bit minimum is exact; the
    // 64-bit one has three times its latency on some processors.
    static Words min(Words a, Words b) { return _mm512_min_epu32(a, b); }
    static unsigned below(Words a, Words limit) { return _mm512_cmplt_epu64_mask(a, limit); }
    static constexpr size_t plane_lanes = 8;
    typedef uint64_t Plane __attribute__((vector_size(64)));
    static Plane xor3(Plane a, Plane b, Plane c) {
        return (Plane)_mm512_ternarylogic_epi64((__m512i)a, (__m512i)b, (__m512i)c, 0x96);
    }
    static Plane majority(Plane a, Plane b, Plane c) {
        return (Plane)_mm512_ternarylogic_epi64((__m512i)a, (__m512i)b, (__m512i)c, 0xE8);
    }
    static bool all_set(Plane a) {
        return _mm512_cmpneq_epi64_mask((__m512i)a, _mm512_set1_epi64(-1)) == 0;
    }
    static uint64_t nonzero64(const uint8_t* values) {
        const __m512i x = _mm512_loadu_si512(values);
        return _mm512_test_epi8_mask(x, x);
    }
    static uint64_t greater64(const float* values, float threshold, bool& has_nan) {
        const __m512 limit = _mm512_set1_ps(threshold);
        uint64_t mask = 0;
        unsigned nan = 0;
        for (int i = 0; i < 4; ++i) {
            const __m512 x = _mm512_loadu_ps(values + 16 * i);
            mask |= uint64_t{_mm512_cmp_ps_mask(x, limit, _CMP_GT_OQ)} << (16 * i);
            nan |= _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
        }
        has_nan |= nan != 0;
        return mask;
    }
    static uint64_t greater64(const double* values, double threshold, bool& has_nan) {
        const __m512d limit = _mm512_set1_pd(threshold);
        uint64_t mask = 0;
        unsigned nan = 0;
        for (int i = 0; i < 8; ++i) {
            const __m512d x = _mm512_loadu_pd(values + 8 * i);
            mask |= uint64_t{_mm512_cmp_pd_mask(x, limit, _CMP_GT_OQ)} << (8 * i);
            nan |= _mm512_cmp_pd_mask(x, x, _CMP_UNORD_Q);
        }
        has_nan |= nan != 0;
        return mask;
    }
    static uint64_t greater64(const HalfBits* halves, int16_t threshold_order, bool& has_nan) {
        const __m512i limit = _mm512_set1_epi16(threshold_order);
        const __m512i magnitude_bits = _mm512_set1_epi16(0x7FFF);
        uint64_t mask = 0;
        uint32_t nan = 0;
        for (int i = 0; i < 2; ++i) {
            const __m512i x = _mm512_loadu_si512(halves + 32 * i);
            const __m512i magnitude = _mm512_and_si512(x, magnitude_bits);
            const __m512i order =
                _mm512_xor_si512(x, _mm512_and_si512(_mm512_srai_epi16(x, 15), magnitude_bits));
            mask |= uint64_t{_mm512_cmpgt_epi16_mask(order, limit)} << (32 * i);
            nan |= _mm512_cmpgt_epi16_mask(magnitude, _mm512_set1_epi16(0x7C00));
        }
        has_nan |= nan != 0;
        return mask;
    }
    static uint64_t greater64(const int8_t* values, int8_t threshold, bool&) {
        return _mm512_cmpgt_epi8_mask(_mm512_loadu_si512(values), _mm512_set1_epi8(threshold));
    }
    // Compressed in a register and stored whole: a compressing store is microcode on some
    // processors.
    static void append(Hit* to, unsigned mask, Words distances, uint64_t position) {
        const __m512i lane = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
        const __m512i positions = _mm512_add_epi64(broadcast(position), lane);
        const __m512i hits =
            _mm512_or_si512(_mm512_slli_epi64(distances, position_bits), positions);
        _mm512_storeu_si512(to, _mm512_maskz_compress_epi64(static_cast<__mmask8>(mask), hits));
    }
    static size_t list_hits(const uint32_t* distances, const uint64_t* mask, size_t words,
                            TileHit* hits) {
        const __m512i step = _mm512_set1_epi32(16);
        __m512i items = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        size_t count = 0;
        for (const uint64_t* end = mask + words; mask < end; ++mask) {
            for (int part = 0; part < 4; ++part, distances += 16) {
                const auto lanes = static_cast<__mmask16>(*mask >> (16 * part));
                const __m512i all = _mm512_or_si512(
                    _mm512_slli_epi32(_mm512_loadu_si512(distances), tile_item_bits), items);
                _mm512_storeu_si512(hits + count, _mm512_maskz_compress_epi32(lanes, all));
                count += static_cast<size_t>(__builtin_popcount(lanes));
                items = _mm512_add_epi32(items, step);
            }
        }
        return count;
    }
    static void store(uint32_t* to, Words x) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtepi64_epi32(x));
    }

    static constexpr size_t float_lanes = 16;
    using Floats = __m512;
    static Floats zero_floats() { return _mm512_setzero_ps(); }
    static Floats floats(const float* from) { return _mm512_loadu_ps(from); }
    static Floats floats(const uint16_t* halves) {
        return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(halves)));
    }
    static Floats floats(const int8_t* from) {
        return _mm512_cvtepi32_ps(
            _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
    }
    static Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
    static Floats subtract(Floats a, Floats b) { return _mm512_sub_ps(a, b); }
    static Floats multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
    static Floats negate_where(Floats x, uint32_t mask) {
        const __m512i bits = _mm512_castps_si512(x);
        return _mm512_castsi512_ps(_mm512_mask_xor_epi32(bits, static_cast<__mmask16>(mask), bits,
                                                         _mm512_set1_epi32(INT32_MIN)));
    }
    static void store(float* to, Floats x) { _mm512_storeu_ps(to, x); }

    static constexpr size_t short_lanes = 32;
    using Shorts = __m512i;
    using Int32s = __m512i;
    static Shorts shorts(const int16_t* from) { return _mm512_loadu_si512(from); }
    static Shorts shorts(const int8_t* from) {
        return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
    }
    static Shorts subtract(Shorts a, Shorts b) { return _mm512_sub_epi16(a, b); }
    static Int32s zero_int32s() { return _mm512_setzero_si512(); }
    static Int32s add_products(Int32s sum, Shorts a, Shorts b) {
        return _mm512_add_epi32(sum, _mm512_madd_epi16(a, b));
    }
    static int64_t sum_int32s(Int32s x) {
        const __m512i low = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(x));
        const __m512i high = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(x, 1));
        return _mm512_reduce_add_epi64(_mm512_add_epi64(low, high));
    }
};

}  // namespace
}  // namespace hashcore
