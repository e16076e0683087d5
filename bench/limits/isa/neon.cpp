// NEON: bits counted in bytes by CNT.
#include <arm_neon.h>

#include "isa/loops.inl.h"

namespace hashcore::limits {
namespace {

struct Neon {
    static constexpr size_t bits = 128;
    static constexpr size_t sliced_operations = 4 * sliced_full_adders;
    using Vector = uint64x2_t;

    static void keep(Vector& x) { asm volatile("" : "+w"(x)); }
    static Vector broadcast(uint64_t value) { return vdupq_n_u64(value); }
    static Vector load(const uint64_t* from) { return vld1q_u64(from); }
    static uint64_t first_lane(Vector x) { return vgetq_lane_u64(x, 0); }
    static Vector add(Vector a, Vector b) { return vaddq_u64(a, b); }
    static Vector add_counts(Vector a, Vector b) {
        return vreinterpretq_u64_u8(vaddq_u8(vreinterpretq_u8_u64(a), vreinterpretq_u8_u64(b)));
    }
    static void compare(Vector a, Vector b) {
        Vector less = vcltq_u64(a, b);
        keep(less);
    }
    static Vector exclusive_or(Vector a, Vector b) { return veorq_u64(a, b); }
    static Vector logic(Vector a, Vector b) { return veorq_u64(a, b); }
    static Vector min(Vector a, Vector b) {
        return vreinterpretq_u64_u32(vminq_u32(vreinterpretq_u32_u64(a), vreinterpretq_u32_u64(b)));
    }
    static Vector popcount(Vector x) {
        return vreinterpretq_u64_u8(vcntq_u8(vreinterpretq_u8_u64(x)));
    }
    static Vector widen(Vector x) {
        return vpaddlq_u32(vpaddlq_u16(vpaddlq_u8(vreinterpretq_u8_u64(x))));
    }
};

}  // namespace

extern const Level limits_neon;
const Level limits_neon = make_level<Neon>("neon");

}  // namespace hashcore::limits
