#pragma once
#include <cstdint>

#include "cpu/tiles.h"
#include "mih/bit_gather.h"
#include "mih/tables.h"

namespace hashcore {

/// The codes of the first table, in the order of its entries, which hold them.
class EntryDecoder final : public WordDecoder {
 public:
    /// Entries are words or rests.
    explicit EntryDecoder(const MihTables& tables);

    void decode(int64_t first, int64_t count, uint64_t* words) const override;

 private:
    const MihTables& tables_;
    BitScatter key_;
    BitScatter rest_;
};

}  // namespace hashcore
