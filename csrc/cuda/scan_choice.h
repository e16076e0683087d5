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

/// Counting bits keeps up with memory for about four queries, at any width, and products are taken
/// for 64 of them at a time.
inline constexpr int64_t least_queries_of_b1 = 6;
/// The kernels for 8.x keep queries of so many bits in registers.
inline constexpr int64_t most_bits_on_sm80 = 1024;

/// Whether the binary tensor core can make a pass. Architectures later than 9.0 have neither of its
/// instructions.
constexpr bool has_b1(const ScanCase& asked) {
    const bool ampere = asked.built_for_sm80 && asked.architecture >= 80 &&
                        asked.architecture < 90 && asked.bits <= most_bits_on_sm80;
    const bool hopper =
        asked.built_for_sm90a && asked.architecture == 90 && asked.bits <= b1::most_bits;
    return asked.keeps_hits && (ampere || hopper);
}

/// The scan that is expected to be fastest of those that can.
constexpr Scan choose_scan(const ScanCase& asked) {
    return has_b1(asked) && asked.queries >= least_queries_of_b1 ? Scan::b1 : Scan::popc;
}

/// The same where HASHCORE_CUDA_SCAN is not set; it is popc, or b1 for wherever that can.
Scan scan_to_run(const ScanCase& asked);

}  // namespace hashcore::cuda
