// NEON: bits counted in bytes by CNT, widened to 64-bit lanes by pairwise adds.
#include <arm_neon.h>

#include "cpu/kernels/table.inl.h"

namespace hashcore {
namespace {

struct Neon {
    static constexpr const char* name = "neon";
    static constexpr size_t lanes = 2;
    static constexpr size_t words_per_sum = 31;  // a byte counts to 255, a word adds up to 8
    using Words = uint64x2_t;
    using Sum = uint8x16_t;

    static Words load(const uint64_t* from) { return vld1q_u64(from); }
    static Words broadcast(uint64_t value) { return vdupq_n_u64(value); }
    static Sum zero() { return vdupq_n_u8(0); }
    static Sum add_bits(Sum sum_u8x16, Words a, Words b) {
        return vaddq_u8(sum_u8x16, vcntq_u8(vreinterpretq_u8_u64(veorq_u64(a, b))));
    }
    static Words widen(Sum sum_u8x16) { return vpaddlq_u32(vpaddlq_u16(vpaddlq_u8(sum_u8x16))); }
    static Words add(Words a, Words b) { return vaddq_u64(a, b); }
    // Distances fit in 32 bits and the upper halves are zero, so a 32-bit minimum is exact.
    static Words min(Words a, Words b) {
        return vreinterpretq_u64_u32(vminq_u32(vreinterpretq_u32_u64(a), vreinterpretq_u32_u64(b)));
    }
    static unsigned below(Words a, Words limit) {
        const uint64x2_t mask = vcltq_u64(a, limit);
        return static_cast<unsigned>((vgetq_lane_u64(mask, 0) & 1U) |
                                     (vgetq_lane_u64(mask, 1) & 2U));
    }
    static void store(uint32_t* to, Words x) { vst1_u32(to, vmovn_u64(x)); }
    static constexpr size_t plane_lanes = 2;
    using Plane = uint64x2_t;
    static Plane xor3(Plane a, Plane b, Plane c) { return a ^ b ^ c; }
    static Plane majority(Plane a, Plane b, Plane c) { return vbslq_u64(a ^ b, c, a); }
    static bool all_set(Plane a) { return (a[0] & a[1]) == ~uint64_t{0}; }
    static uint64_t nonzero64(const uint8_t* values) { return nonzero_by_word(values); }
    template <class T>
    static uint64_t greater64(const T* values, T threshold, bool& has_nan) {
        return greater_by_lane(values, threshold, has_nan);
    }
    static void append(Hit* to, unsigned mask, Words distances, uint64_t position) {
        append_by_lane<Neon>(to, mask, distances, position);
    }
};

}  // namespace

extern const KernelTable kernels_neon;
const KernelTable kernels_neon = make_kernel_table<Neon>();

}  // namespace hashcore
