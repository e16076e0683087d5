// AVX-512 with VPOPCNTDQ.
#include "isa/avx512_common.h"
#include "isa/loops.inl.h"

namespace hashcore::limits {
namespace {

struct Avx512Vpopcnt : Avx512Common {
    static Vector add_counts(Vector a, Vector b) { return add(a, b); }
    static Vector popcount(Vector x) { return _mm512_popcnt_epi64(x); }
    static Vector widen(Vector x) { return x; }
};

}  // namespace

extern const Level limits_avx512_vpopcnt;
const Level limits_avx512_vpopcnt = make_level<Avx512Vpopcnt>("avx512_vpopcnt");

}  // namespace hashcore::limits
