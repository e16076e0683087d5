#include "index/new_codes.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>

namespace hashcore {

NewCodes::NewCodes(CodesView codes, const int64_t* ids, int64_t next_id)
    : rows_(codes), ids_(static_cast<size_t>(codes.count)) {
    if (ids == nullptr) {
        if (codes.count > std::numeric_limits<int64_t>::max() - next_id)
            throw std::invalid_argument("ids: no automatic ids are left; pass ids=");
        std::iota(ids_.begin(), ids_.end(), next_id);
        return;
    }
    std::copy_n(ids, codes.count, ids_.begin());
    if (!std::is_sorted(ids_.begin(), ids_.end())) sort(ids);
    if (ids_.empty()) return;
    check_range(ids_.front(), ids_.back());
    const auto twice = std::adjacent_find(ids_.begin(), ids_.end());
    if (twice != ids_.end())
        throw std::invalid_argument("ids: " + std::to_string(*twice) +
                                    " is given twice; every code needs an id of its own");
}

void NewCodes::check_range(int64_t lowest, int64_t highest) {
    if (lowest < 0)
        throw std::invalid_argument("ids: expected >= 0 (-1 marks a missing hit); got " +
                                    std::to_string(lowest));
    if (highest == std::numeric_limits<int64_t>::max())
        throw std::invalid_argument("ids: expected below 2**63 - 1");
}

void NewCodes::sort(const int64_t* given) {
    std::vector<int64_t> order(ids_.size());
    std::iota(order.begin(), order.end(), int64_t{0});
    std::sort(order.begin(), order.end(),
              [given](int64_t a, int64_t b) { return given[a] < given[b]; });
    std::sort(ids_.begin(), ids_.end());
    const auto bytes = static_cast<size_t>(bytes_per_code(rows_.bits));
    sorted_.resize(order.size() * bytes);
    uint8_t* row = sorted_.data();
    for (const int64_t source : order) {
        std::memcpy(row, rows_.data + static_cast<size_t>(source) * bytes, bytes);
        row += bytes;
    }
    rows_.data = sorted_.data();
}

}  // namespace hashcore
