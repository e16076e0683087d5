// AVX2: bits counted by a table of nibbles, in bytes.
#include <immintrin.h>

#include "isa/loops.inl.h"

namespace hashcore::limits {
namespace {

struct Avx2 {
    static constexpr size_t bits = 256;
    static constexpr size_t sliced_operations = 5 * sliced_full_adders;
    using Vector = __m256i;

    static void keep(Vector& x) { asm volatile("" : "+x"(x)); }
    static Vector broadcast(uint64_t value) {
        return _mm256_set1_epi64x(static_cast<long long>(value));
    }
    static Vector load(const uint64_t* from) {
        return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    }
    static uint64_t first_lane(Vector x) {
        return static_cast<uint64_t>(_mm256_extract_epi64(x, 0));
    }
    static Vector add(Vector a, Vector b) { return _mm256_add_epi64(a, b); }
    static Vector add_counts(Vector a, Vector b) { return _mm256_add_epi8(a, b); }
    static void compare(Vector a, Vector b) {
        int less = _mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpgt_epi64(b, a)));
        asm volatile("" : "+r"(less));
    }
    static Vector exclusive_or(Vector a, Vector b) { return _mm256_xor_si256(a, b); }
    static Vector logic(Vector a, Vector b) { return _mm256_xor_si256(a, b); }
    static Vector min(Vector a, Vector b) { return _mm256_min_epu32(a, b); }
    static Vector popcount(Vector x) {
        const __m256i counts = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,  //
                                                0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
        const __m256i nibble = _mm256_set1_epi8(15);
        const __m256i low = _mm256_shuffle_epi8(counts, _mm256_and_si256(x, nibble));
        const __m256i high =
            _mm256_shuffle_epi8(counts, _mm256_and_si256(_mm256_srli_epi16(x, 4), nibble));
        return _mm256_add_epi8(low, high);
    }
    static Vector widen(Vector x) { return _mm256_sad_epu8(x, _mm256_setzero_si256()); }
};

}  // namespace

extern const Level limits_avx2;
const Level limits_avx2 = make_level<Avx2>("avx2");

}  // namespace hashcore::limits
