#include "mih/decode.h"

#include <algorithm>
#include <cstring>

namespace hashcore {

EntryDecoder::EntryDecoder(const MihTables& tables)
    : tables_(tables), key_(tables.plan.key_bits[0]), rest_(tables.plan.rest_bits(0)) {}

void EntryDecoder::decode(int64_t first, int64_t count, uint64_t* words) const {
    const MihTable& table = tables_.tables[0];
    const int64_t bytes = tables_.plan.entry_bytes(0);
    const uint8_t* entry = table.entries + first * bytes;
    if (tables_.plan.entry == MihEntry::word) {
        std::memcpy(words, entry, static_cast<size_t>(count * bytes));
        return;
    }
    const uint32_t* past = std::upper_bound(table.starts, table.starts + tables_.plan.keys(0) + 1,
                                            static_cast<uint32_t>(first));
    uint64_t of_key = key_(static_cast<uint64_t>(past - table.starts - 1));
    for (int64_t i = 0; i < count; ++i, entry += bytes) {
        if (first + i == *past) {  // the next key that has entries
            while (first + i == *past) ++past;
            of_key = key_(static_cast<uint64_t>(past - table.starts - 1));
        }
        uint64_t rest;  // and bytes of what follows, which the plan gives no place
        std::memcpy(&rest, entry, sizeof rest);
        words[i] = of_key | rest_(rest);
    }
}

}  // namespace hashcore
