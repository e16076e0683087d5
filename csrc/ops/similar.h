#pragma once
#include <cstdint>
#include <vector>

#include "hashcore/ops.h"

namespace hashcore {

/// Whether each column shares a label with a row: 1, else 0.
inline void mark_similar(const uint64_t* row, LabelBits columns, std::vector<uint8_t>& similar) {
    const uint64_t* labels = columns.data;
    for (uint8_t& is_similar : similar) {
        uint64_t both = 0;
        for (int64_t w = 0; w < columns.words; ++w) both |= row[w] & labels[w];
        is_similar = both != 0 ? 1 : 0;
        labels += columns.words;
    }
}

}  // namespace hashcore
