// Which scan makes a pass.
#pragma once
#include <cstdint>

#include "cuda/b1_layout.h"

// Whether this module holds kernels for the binary tensor core of 8.x and of 9.0: CMake says.
#ifndef HASHCORE_B1_SM80
#define HASHCORE_B1_SM80 0
#endif
#ifndef HASHCORE_B1_SM90A
#define HASHCORE_B1_SM90A 0
#endif

namespace hashcore::cuda {

enum class Scan { popc, b1 };

/// What the choice looks at.
struct ScanCase {
    int64_t queries;
    int64_t bits;
    int architecture;  ///< 90 for 9.0
    bool keeps_hits;   ///< not counting in bins
    bool built_for_sm80 = HASHCORE_B1_SM80 != 0;
    bool built_for_sm90a = HASHCORE_B1_SM90A != 0;
};

constexpr const char* scan_name(Scan scan) {
    return scan == Scan::b1 ? "b1" : "popc";
}

// Below, codes come from memory no faster than bits are counted: about four queries take as long
// as their codes do to be read, at any width, and products are taken for 64 of them.
inline constexpr int64_t least_queries_of_b1 = 6;
/// The kernels for 8.x keep queries of so many bits in registers.
inline constexpr int64_t most_bits_on_sm80 = 1024;

/// The scan that is expected to be fastest of those that can.
constexpr Scan choose_scan(const ScanCase& asked) {
    const bool ampere = asked.built_for_sm80 && asked.architecture >= 80 &&
                        asked.architecture < 90 && asked.bits <= most_bits_on_sm80;
    // Later architectures have neither instruction: they are for 9.0 alone.
    const bool hopper =
        asked.built_for_sm90a && asked.architecture == 90 && asked.bits <= b1::most_bits;
    const bool pays = asked.queries >= least_queries_of_b1;
    return asked.keeps_hits && pays && (ampere || hopper) ? Scan::b1 : Scan::popc;
}

}  // namespace hashcore::cuda
