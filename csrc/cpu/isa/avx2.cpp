// AVX2: bits counted by nibble look-up in bytes, widened to 64-bit lanes by SAD.
#include <immintrin.h>

#include "cpu/kernels/packed_words.inl.h"
#include "cpu/kernels/table.inl.h"

namespace hashcore {
namespace {

struct Avx2 {
    static constexpr const char* name = "avx2";
    static constexpr size_t lanes = 4;
    static constexpr size_t words_per_sum = 31;  // a byte counts to 255, a word adds up to 8
    using Words = __m256i;
    using Sum = __m256i;

    static Words load(const uint64_t* from) {
        return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    }
    static Words broadcast(uint64_t value) {
        return _mm256_set1_epi64x(static_cast<long long>(value));
    }
    template <class WordOf>
    static Words gather(const WordOf& word_of) {
        const auto lane = [&](size_t i) { return static_cast<long long>(word_of(i)); };
        return _mm256_set_epi64x(lane(3), lane(2), lane(1), lane(0));
    }
    /// Two of them lie in 16 bytes; zeros are shuffled in above each.
    struct Packing {
        size_t bytes;
        __m256i order;
        explicit Packing(size_t width) : bytes(width) {
            uint8_t from[16];
            pair_order(width, from);
            order = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<__m128i*>(from)));
        }
    };
    static Words load_packed(const uint8_t* from, const Packing& packing) {
        const auto* low = reinterpret_cast<const __m128i*>(from);
        const auto* high = reinterpret_cast<const __m128i*>(from + 2 * packing.bytes);
        const __m256i pairs = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(low)),
                                                      _mm_loadu_si128(high), 1);
        return _mm256_shuffle_epi8(pairs, packing.order);
    }
    static Sum zero() { return _mm256_setzero_si256(); }
    static Sum add_bits(Sum sum_u8x32, Words a, Words b) {
        const __m256i counts = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,  //
                                                0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
        const __m256i nibble = _mm256_set1_epi8(0x0F);
        const __m256i x = _mm256_xor_si256(a, b);
        const __m256i low = _mm256_shuffle_epi8(counts, _mm256_and_si256(x, nibble));
        const __m256i high =
            _mm256_shuffle_epi8(counts, _mm256_and_si256(_mm256_srli_epi16(x, 4), nibble));
        return _mm256_add_epi8(sum_u8x32, _mm256_add_epi8(low, high));
    }
    static Words widen(Sum sum_u8x32) { return _mm256_sad_epu8(sum_u8x32, _mm256_setzero_si256()); }
    static Words add(Words a, Words b) { return _mm256_add_epi64(a, b); }
    // Distances fit in 32 bits and the upper halves are zero, so 32-bit compares are exact.
    static Words min(Words a, Words b) { return _mm256_min_epu32(a, b); }
    static unsigned below(Words a, Words limit) {
        return static_cast<unsigned>(
            _mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpgt_epi64(limit, a))));
    }
    static void store(uint32_t* to, Words x) {
        const __m256i even = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                         _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(x, even)));
    }
    static constexpr size_t plane_lanes = 4;
    typedef uint64_t Plane __attribute__((vector_size(32)));
    static Plane xor3(Plane a, Plane b, Plane c) { return a ^ b ^ c; }
    static Plane majority(Plane a, Plane b, Plane c) { return ((a ^ b) & c) | (a & b); }
    static bool all_set(Plane a) {
        return _mm256_testc_si256((__m256i)a, _mm256_set1_epi64x(-1)) != 0;
    }
    static __m256i load_bytes(const void* from) {
        return _mm256_loadu_si256(static_cast<const __m256i*>(from));
    }
    static uint32_t sign_bits(__m256i x) { return static_cast<uint32_t>(_mm256_movemask_epi8(x)); }
    static uint64_t nonzero64(const uint8_t* values) {
        const __m256i zero = _mm256_setzero_si256();
        const uint64_t low = sign_bits(_mm256_cmpeq_epi8(load_bytes(values), zero));
        const uint64_t high = sign_bits(_mm256_cmpeq_epi8(load_bytes(values + 32), zero));
        return ~(low | high << 32);
    }
    static uint64_t greater64(const float* values, float threshold, bool& has_nan) {
        const __m256 limit = _mm256_set1_ps(threshold);
        __m256 nan = _mm256_setzero_ps();
        uint64_t mask = 0;
        for (int i = 0; i < 8; ++i) {
            const __m256 x = _mm256_loadu_ps(values + 8 * i);
            const int greater = _mm256_movemask_ps(_mm256_cmp_ps(x, limit, _CMP_GT_OQ));
            mask |= static_cast<uint64_t>(greater) << (8 * i);
            nan = _mm256_or_ps(nan, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
        }
        has_nan |= _mm256_movemask_ps(nan) != 0;
        return mask;
    }
    static uint64_t greater64(const double* values, double threshold, bool& has_nan) {
        const __m256d limit = _mm256_set1_pd(threshold);
        __m256d nan = _mm256_setzero_pd();
        uint64_t mask = 0;
        for (int i = 0; i < 16; ++i) {
            const __m256d x = _mm256_loadu_pd(values + 4 * i);
            const int greater = _mm256_movemask_pd(_mm256_cmp_pd(x, limit, _CMP_GT_OQ));
            mask |= static_cast<uint64_t>(greater) << (4 * i);
            nan = _mm256_or_pd(nan, _mm256_cmp_pd(x, x, _CMP_UNORD_Q));
        }
        has_nan |= _mm256_movemask_pd(nan) != 0;
        return mask;
    }
    static uint64_t greater64(const HalfBits* halves, int16_t threshold_order, bool& has_nan) {
        const __m256i limit = _mm256_set1_epi16(threshold_order);
        const __m256i magnitude_bits = _mm256_set1_epi16(0x7FFF);
        __m256i nan = _mm256_setzero_si256();
        const auto greater16 = [&](const HalfBits* from) {
            const __m256i x = load_bytes(from);
            const __m256i magnitude = _mm256_and_si256(x, magnitude_bits);
            nan = _mm256_or_si256(nan, _mm256_cmpgt_epi16(magnitude, _mm256_set1_epi16(0x7C00)));
            const __m256i order =
                _mm256_xor_si256(x, _mm256_and_si256(_mm256_srai_epi16(x, 15), magnitude_bits));
            return _mm256_cmpgt_epi16(order, limit);
        };
        uint64_t mask = 0;
        for (int i = 0; i < 2; ++i) {
            const __m256i low = greater16(halves + 32 * i);
            const __m256i high = greater16(halves + 32 * i + 16);
            const __m256i bytes =  // packing interleaves the halves of its inputs
                _mm256_permute4x64_epi64(_mm256_packs_epi16(low, high), 0b11'01'10'00);
            mask |= uint64_t{sign_bits(bytes)} << (32 * i);
        }
        has_nan |= sign_bits(nan) != 0;
        return mask;
    }
    static uint64_t greater64(const int8_t* values, int8_t threshold, bool&) {
        const __m256i limit = _mm256_set1_epi8(threshold);
        const uint64_t low = sign_bits(_mm256_cmpgt_epi8(load_bytes(values), limit));
        const uint64_t high = sign_bits(_mm256_cmpgt_epi8(load_bytes(values + 32), limit));
        return low | high << 32;
    }
    static void append(Hit* to, unsigned mask, Words distances, uint64_t position) {
        append_by_lane<Avx2>(to, mask, distances, position);
    }

    static size_t list_hits(const uint32_t* distances, const uint64_t* mask, size_t words,
                            TileHit* hits) {
        const __m256i step = _mm256_set1_epi32(8);
        __m256i items = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        size_t count = 0;
        for (size_t i = 0; i < 64 * words; i += 8, items = _mm256_add_epi32(items, step)) {
            const size_t byte = mask[i / 64] >> i % 64 & 0xFF;
            const __m256i all = _mm256_or_si256(
                _mm256_slli_epi32(load_bytes(distances + i), tile_item_bits), items);
            const __m256i marked =
                _mm256_permutevar8x32_epi32(all, load_bytes(set_bits.positions[byte]));
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(hits + count), marked);
            count += set_bits.count[byte];
        }
        return count;
    }

    static constexpr size_t float_lanes = 8;
    using Floats = __m256;
    static Floats zero_floats() { return _mm256_setzero_ps(); }
    static Floats floats(const float* from) { return _mm256_loadu_ps(from); }
    // As half_to_float(): AVX2 does not imply F16C.
    static Floats floats(const uint16_t* halves) {
        const __m256i half =
            _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(halves)));
        const __m256i magnitude = _mm256_and_si256(half, _mm256_set1_epi32(0x7FFF));
        const __m256i sign = _mm256_slli_epi32(_mm256_xor_si256(half, magnitude), 16);
        const __m256i special =
            _mm256_and_si256(_mm256_cmpgt_epi32(magnitude, _mm256_set1_epi32(0x7BFF)),
                             _mm256_set1_epi32(0x7F800000));
        const __m256 finite = _mm256_mul_ps(_mm256_castsi256_ps(_mm256_slli_epi32(magnitude, 13)),
                                            _mm256_set1_ps(0x1p112F));
        return _mm256_or_ps(finite, _mm256_castsi256_ps(_mm256_or_si256(special, sign)));
    }
    static Floats floats(const int8_t* from) {
        return _mm256_cvtepi32_ps(
            _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
    }
    static Floats add(Floats a, Floats b) { return _mm256_add_ps(a, b); }
    static Floats subtract(Floats a, Floats b) { return _mm256_sub_ps(a, b); }
    static Floats multiply(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
    static Floats negate_where(Floats x, uint32_t mask) {
        const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
        const __m256i is_set = _mm256_cmpeq_epi32(
            _mm256_and_si256(_mm256_set1_epi32(static_cast<int>(mask)), bit), bit);
        return _mm256_xor_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32(is_set, 31)));
    }
    static void store(float* to, Floats x) { _mm256_storeu_ps(to, x); }

    static constexpr size_t short_lanes = 16;
    using Shorts = __m256i;
    using Int32s = __m256i;
    static Shorts shorts(const int16_t* from) {
        return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    }
    static Shorts shorts(const int8_t* from) {
        return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
    }
    static Shorts subtract(Shorts a, Shorts b) { return _mm256_sub_epi16(a, b); }
    static Int32s zero_int32s() { return _mm256_setzero_si256(); }
    static Int32s add_products(Int32s sum, Shorts a, Shorts b) {
        return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
    }
    static int64_t sum_int32s(Int32s x) {
        const __m256i sum_i64x4 =
            _mm256_add_epi64(_mm256_cvtepi32_epi64(_mm256_castsi256_si128(x)),
                             _mm256_cvtepi32_epi64(_mm256_extracti128_si256(x, 1)));
        const __m128i sum_i64x2 = _mm_add_epi64(_mm256_castsi256_si128(sum_i64x4),
                                                _mm256_extracti128_si256(sum_i64x4, 1));
        return _mm_cvtsi128_si64(sum_i64x2) + _mm_extract_epi64(sum_i64x2, 1);
    }
};

}  // namespace

extern const KernelTable kernels_avx2;
const KernelTable kernels_avx2 = make_kernel_table<Avx2>();

}  // namespace hashcore
