#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "mih/plan.h"

namespace hashcore {

/// One table: its entries stand in the order of their keys, those of one key in position order.
struct MihTable {
    const uint32_t* starts = nullptr;     ///< [keys + 1] the first entry of each key
    const uint8_t* entries = nullptr;     ///< [count, entry_bytes] and mih_slack more, or null
    const uint32_t* positions = nullptr;  ///< [count] of each entry
};

/// What a scan may read past the last entry.
inline constexpr int64_t mih_slack = 64;

/// A built structure. Nothing in it changes.
struct MihTables {
    MihPlan plan;
    int64_t count = 0;
    std::vector<MihTable> tables;
    const uint8_t* rows = nullptr;  ///< [count, bytes_per_code] in position order, or null
    std::vector<std::shared_ptr<const void>> owners;  ///< keep alive what the pointers point to
};

}  // namespace hashcore
