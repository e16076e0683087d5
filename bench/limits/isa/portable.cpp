// Plain C++: a word at a time.
#include "isa/loops.inl.h"

namespace hashcore::limits {
namespace {

struct Portable {
    static constexpr size_t bits = 64;
    static constexpr size_t sliced_operations = 5 * sliced_full_adders;
    using Vector = uint64_t;

    static void keep(Vector& x) { asm volatile("" : "+r"(x)); }
    static Vector broadcast(uint64_t value) { return value; }
    static Vector load(const uint64_t* from) { return *from; }
    static uint64_t first_lane(Vector x) { return x; }
    static Vector add(Vector a, Vector b) { return a + b; }
    static Vector add_counts(Vector a, Vector b) { return a + b; }
    static void compare(Vector a, Vector b) {
        uint64_t less = a < b;
        keep(less);
    }
    static Vector exclusive_or(Vector a, Vector b) { return a ^ b; }
    static Vector logic(Vector a, Vector b) { return a ^ b; }
    static Vector min(Vector a, Vector b) { return a < b ? a : b; }
    static Vector popcount(Vector x) { return static_cast<uint64_t>(__builtin_popcountll(x)); }
    static Vector widen(Vector x) { return x; }
};

}  // namespace

extern const Level limits_portable;
const Level limits_portable = make_level<Portable>("portable");

}  // namespace hashcore::limits
