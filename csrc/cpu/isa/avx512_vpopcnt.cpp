// AVX-512 with VPOPCNTDQ: one instruction counts the bits of eight words.
#include "cpu/isa/avx512_common.h"
#include "cpu/kernels/table.inl.h"

namespace hashcore {
namespace {

struct Avx512Vpopcnt : Avx512Common {
    static constexpr const char* name = "avx512_vpopcnt";
    static constexpr size_t words_per_sum = SIZE_MAX;

    static Sum add_bits(Sum sum_u64x8, Words a, Words b) {
        return _mm512_add_epi64(sum_u64x8, _mm512_popcnt_epi64(_mm512_xor_si512(a, b)));
    }
    static Words widen(Sum sum_u64x8) { return sum_u64x8; }
};

}  // namespace

extern const KernelTable kernels_avx512_vpopcnt;
const KernelTable kernels_avx512_vpopcnt = make_kernel_table<Avx512Vpopcnt>();

}  // namespace hashcore
