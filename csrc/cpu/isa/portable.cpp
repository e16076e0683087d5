// Plain C++20: every CPU runs it, and the other levels are measured against it.
#include "cpu/kernels/half.inl.h"
#include "cpu/kernels/packed_words.inl.h"
#include "cpu/kernels/table.inl.h"

namespace hashcore {
namespace {

struct Portable {
    static constexpr const char* name = "portable";
    static constexpr size_t lanes = 8;
    static constexpr size_t words_per_sum = SIZE_MAX;
    struct Words {
        uint64_t lane[lanes];
    };
    using Sum = Words;

    static uint64_t popcount(uint64_t x) {
        x = x - ((x >> 1) & 0x5555555555555555U);
        x = (x & 0x3333333333333333U) + ((x >> 2) & 0x3333333333333333U);
        x = (x + (x >> 4)) & 0x0F0F0F0F0F0F0F0FU;
        x += x >> 8;
        x += x >> 16;
        x += x >> 32;
        return x & 0x7FU;
    }

    static Words load(const uint64_t* from) {
        Words x;
        for (size_t i = 0; i < lanes; ++i) x.lane[i] = from[i];
        return x;
    }
    static Words broadcast(uint64_t value) {
        Words x;
        for (size_t i = 0; i < lanes; ++i) x.lane[i] = value;
        return x;
    }
    template <class WordOf>
    static Words gather(const WordOf& word_of) {
        Words x;
        for (size_t i = 0; i < lanes; ++i) x.lane[i] = word_of(i);
        return x;
    }
    struct Packing {
        size_t bytes;
        uint64_t own;
        explicit Packing(size_t width)
            : bytes(width), own(width == 8 ? ~uint64_t{0} : (uint64_t{1} << (8 * width)) - 1) {}
    };
    static Words load_packed(const uint8_t* from, const Packing& packing) {
        return gather([&](size_t i) { return load_word(from + i * packing.bytes) & packing.own; });
    }
    static Sum zero() { return broadcast(0); }
    static Sum add_bits(Sum sum, const Words& a, const Words& b) {
        for (size_t i = 0; i < lanes; ++i) sum.lane[i] += popcount(a.lane[i] ^ b.lane[i]);
        return sum;
    }
    static Words widen(const Sum& sum) { return sum; }
    static Words add(Words a, const Words& b) {
        for (size_t i = 0; i < lanes; ++i) a.lane[i] += b.lane[i];
        return a;
    }
    static Words min(Words a, const Words& b) {
        for (size_t i = 0; i < lanes; ++i)
            a.lane[i] = b.lane[i] < a.lane[i] ? b.lane[i] : a.lane[i];
        return a;
    }
    static unsigned below(const Words& a, const Words& limit) {
        unsigned mask = 0;
        for (size_t i = 0; i < lanes; ++i)
            mask |= static_cast<unsigned>(a.lane[i] < limit.lane[i]) << i;
        return mask;
    }
    static void store(uint32_t* to, const Words& x) {
        for (size_t i = 0; i < lanes; ++i) to[i] = static_cast<uint32_t>(x.lane[i]);
    }
    static constexpr size_t plane_lanes = 2;
    typedef uint64_t Plane __attribute__((vector_size(16)));
    static Plane xor3(Plane a, Plane b, Plane c) { return a ^ b ^ c; }
    static Plane majority(Plane a, Plane b, Plane c) { return ((a ^ b) & c) | (a & b); }
    static bool all_set(Plane a) { return (a[0] & a[1]) == ~uint64_t{0}; }
    static uint64_t nonzero64(const uint8_t* values) { return nonzero_by_word(values); }
    template <class T>
    static uint64_t greater64(const T* values, T threshold, bool& has_nan) {
        return greater_by_lane(values, threshold, has_nan);
    }
    static void append(Hit* to, unsigned mask, const Words& distances, uint64_t position) {
        append_by_lane<Portable>(to, mask, distances, position);
    }

    static size_t list_hits(const uint32_t* distances, const uint64_t* mask, size_t words,
                            TileHit* hits) {
        return list_hits_by_item(distances, mask, words, hits);
    }

    static constexpr size_t float_lanes = 8;
    struct Floats {
        float lane[float_lanes];
    };
    static Floats zero_floats() { return {}; }
    static Floats floats(const float* from) {
        Floats x;
        for (size_t i = 0; i < float_lanes; ++i) x.lane[i] = from[i];
        return x;
    }
    static Floats floats(const uint16_t* halves) {
        Floats x;
        for (size_t i = 0; i < float_lanes; ++i) x.lane[i] = half_to_float(halves[i]);
        return x;
    }
    static Floats floats(const int8_t* from) {
        Floats x;
        for (size_t i = 0; i < float_lanes; ++i) x.lane[i] = from[i];
        return x;
    }
    static Floats add(Floats a, const Floats& b) {
        for (size_t i = 0; i < float_lanes; ++i) a.lane[i] += b.lane[i];
        return a;
    }
    static Floats subtract(Floats a, const Floats& b) {
        for (size_t i = 0; i < float_lanes; ++i) a.lane[i] -= b.lane[i];
        return a;
    }
    static Floats multiply(Floats a, const Floats& b) {
        for (size_t i = 0; i < float_lanes; ++i) a.lane[i] *= b.lane[i];
        return a;
    }
    static Floats negate_where(Floats x, uint32_t mask) {
        for (size_t i = 0; i < float_lanes; ++i)
            if ((mask >> i & 1U) != 0) x.lane[i] = -x.lane[i];
        return x;
    }
    static void store(float* to, const Floats& x) {
        for (size_t i = 0; i < float_lanes; ++i) to[i] = x.lane[i];
    }

    static constexpr size_t short_lanes = 8;
    struct Shorts {
        int16_t lane[short_lanes];
    };
    struct Int32s {
        int32_t lane[short_lanes];
    };
    template <class Element>
    static Shorts shorts(const Element* from) {
        Shorts x;
        for (size_t i = 0; i < short_lanes; ++i) x.lane[i] = from[i];
        return x;
    }
    static Shorts subtract(Shorts a, const Shorts& b) {
        for (size_t i = 0; i < short_lanes; ++i)
            a.lane[i] = static_cast<int16_t>(a.lane[i] - b.lane[i]);
        return a;
    }
    static Int32s zero_int32s() { return {}; }
    static Int32s add_products(Int32s sum, const Shorts& a, const Shorts& b) {
        for (size_t i = 0; i < short_lanes; ++i) sum.lane[i] += a.lane[i] * b.lane[i];
        return sum;
    }
    static int64_t sum_int32s(const Int32s& x) {
        int64_t sum = 0;
        for (const int32_t lane : x.lane) sum += lane;
        return sum;
    }
};

}  // namespace

extern const KernelTable kernels_portable;
const KernelTable kernels_portable = make_kernel_table<Portable>();

}  // namespace hashcore
