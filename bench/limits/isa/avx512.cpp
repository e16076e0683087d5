// AVX-512 without VPOPCNTDQ: bits counted by a table of nibbles, in bytes.
#include "isa/avx512_common.h"
#include "isa/loops.inl.h"

namespace hashcore::limits {
namespace {

struct Avx512 : Avx512Common {
    static Vector add_counts(Vector a, Vector b) { return _mm512_add_epi8(a, b); }
    static Vector popcount(Vector x) {
        const __m512i counts =
            _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
        const __m512i nibble = _mm512_set1_epi8(15);
        const __m512i low = _mm512_shuffle_epi8(counts, _mm512_and_si512(x, nibble));
        const __m512i high =
            _mm512_shuffle_epi8(counts, _mm512_and_si512(_mm512_srli_epi16(x, 4), nibble));
        return _mm512_add_epi8(low, high);
    }
    static Vector widen(Vector x) { return _mm512_sad_epu8(x, _mm512_setzero_si512()); }
};

}  // namespace

extern const Level limits_avx512;
const Level limits_avx512 = make_level<Avx512>("avx512");

}  // namespace hashcore::limits
