// AVX-512 without VPOPCNTDQ: bits counted by nibble look-up in bytes, widened by SAD.
#include "cpu/isa/avx512_common.h"
#include "cpu/kernels/table.inl.h"

namespace hashcore {
namespace {

struct Avx512 : Avx512Common {
    static constexpr const char* name = "avx512";
    static constexpr size_t words_per_sum = 31;  // a byte counts to 255, a word adds up to 8

    static Sum add_bits(Sum sum_u8x64, Words a, Words b) {
        const __m512i counts =
            _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
        const __m512i nibble = _mm512_set1_epi8(0x0F);
        const __m512i x = _mm512_xor_si512(a, b);
        const __m512i low = _mm512_shuffle_epi8(counts, _mm512_and_si512(x, nibble));
        const __m512i high =
            _mm512_shuffle_epi8(counts, _mm512_and_si512(_mm512_srli_epi16(x, 4), nibble));
        return _mm512_add_epi8(sum_u8x64, _mm512_add_epi8(low, high));
    }
    static Words widen(Sum sum_u8x64) { return _mm512_sad_epu8(sum_u8x64, _mm512_setzero_si512()); }
};

}  // namespace

extern const KernelTable kernels_avx512;
const KernelTable kernels_avx512 = make_kernel_table<Avx512>();

}  // namespace hashcore
