// Which scan makes a pass.
#pragma once
#include <cstdint>

namespace hashcore::cuda {

enum class Scan { popc, b1 };

/// What the choice looks at.
struct ScanCase {
    int64_t queries;
    int64_t bits;
    int architecture;  ///< 90 for 9.0
    bool keeps_hits;   ///< not counting in bins
};

constexpr const char* scan_name(Scan scan) {
    return scan == Scan::b1 ? "b1" : "popc";
}

/// The scan that is expected to be fastest of those that can.
constexpr Scan choose_scan(const ScanCase&) {
    return Scan::popc;
}

}  // namespace hashcore::cuda
