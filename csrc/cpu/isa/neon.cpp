// NEON: bits counted in bytes by CNT, widened to 64-bit lanes by pairwise adds.
#include <arm_neon.h>

#include "cpu/kernels/packed_words.inl.h"
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
    template <class WordOf>
    static Words gather(const WordOf& word_of) {
        return vcombine_u64(vcreate_u64(word_of(0)), vcreate_u64(word_of(1)));
    }
    /// Both lie in 16 bytes; zeros are shuffled in above each.
    struct Packing {
        uint8x16_t order;
        explicit Packing(size_t width) {
            uint8_t from[16];
            pair_order(width, from);
            order = vld1q_u8(from);
        }
    };
    static Words load_packed(const uint8_t* from, const Packing& packing) {
        return vreinterpretq_u64_u8(vqtbl1q_u8(vld1q_u8(from), packing.order));
    }
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

    static size_t list_hits(const uint32_t* distances, const uint64_t* mask, size_t words,
                            TileHit* hits) {
        return list_hits_by_item(distances, mask, words, hits);
    }

    static constexpr size_t float_lanes = 8;
    using Floats = float32x4x2_t;
    static Floats zero_floats() { return {vdupq_n_f32(0), vdupq_n_f32(0)}; }
    static Floats floats(const float* from) { return {vld1q_f32(from), vld1q_f32(from + 4)}; }
    static Floats floats(const uint16_t* halves) {
        const float16x8_t x = vreinterpretq_f16_u16(vld1q_u16(halves));
        return {vcvt_f32_f16(vget_low_f16(x)), vcvt_high_f32_f16(x)};
    }
    static Floats floats(const int8_t* from) {
        const int16x8_t x = shorts(from);
        return {vcvtq_f32_s32(vmovl_s16(vget_low_s16(x))), vcvtq_f32_s32(vmovl_high_s16(x))};
    }
    static Floats add(Floats a, Floats b) {
        return {vaddq_f32(a.val[0], b.val[0]), vaddq_f32(a.val[1], b.val[1])};
    }
    static Floats subtract(Floats a, Floats b) {
        return {vsubq_f32(a.val[0], b.val[0]), vsubq_f32(a.val[1], b.val[1])};
    }
    static Floats multiply(Floats a, Floats b) {
        return {vmulq_f32(a.val[0], b.val[0]), vmulq_f32(a.val[1], b.val[1])};
    }
    static Floats negate_where(Floats x, uint32_t mask) {
        constexpr int32_t to_sign[8] = {31, 30, 29, 28, 27, 26, 25, 24};
        const uint32x4_t bits = vdupq_n_u32(mask);
        const uint32x4_t sign = vdupq_n_u32(0x80000000U);
        for (int half = 0; half < 2; ++half) {
            const uint32x4_t turned =
                vandq_u32(vshlq_u32(bits, vld1q_s32(to_sign + 4 * half)), sign);
            x.val[half] =
                vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(x.val[half]), turned));
        }
        return x;
    }
    static void store(float* to, Floats x) {
        vst1q_f32(to, x.val[0]);
        vst1q_f32(to + 4, x.val[1]);
    }

    static constexpr size_t short_lanes = 8;
    using Shorts = int16x8_t;
    using Int32s = int32x4_t;
    static Shorts shorts(const int16_t* from) { return vld1q_s16(from); }
    static Shorts shorts(const int8_t* from) { return vmovl_s8(vld1_s8(from)); }
    static Shorts subtract(Shorts a, Shorts b) { return vsubq_s16(a, b); }
    static Int32s zero_int32s() { return vdupq_n_s32(0); }
    static Int32s add_products(Int32s sum, Shorts a, Shorts b) {
        return vmlal_high_s16(vmlal_s16(sum, vget_low_s16(a), vget_low_s16(b)), a, b);
    }
    static int64_t sum_int32s(Int32s x) { return vaddlvq_s32(x); }
};

}  // namespace

extern const KernelTable kernels_neon;
const KernelTable kernels_neon = make_kernel_table<Neon>();

}  // namespace hashcore
