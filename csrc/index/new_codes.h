#pragma once
#include <cstdint>
#include <vector>

#include "hashcore/codes.h"

namespace hashcore {

/// Codes to add, in ascending id order.
class NewCodes {
 public:
    /// `ids` [codes.count] are checked; null means `next_id` and on. Codes that are in order stay
    /// where they are. Throws std::invalid_argument for an id that no code can have.
    NewCodes(CodesView codes, const int64_t* ids, int64_t next_id);

    /// Throws std::invalid_argument where an id lies outside of what ids can be.
    static void check_range(int64_t lowest, int64_t highest);

    CodesView rows() const { return rows_; }
    const std::vector<int64_t>& ids() const { return ids_; }

 private:
    void sort(const int64_t* given);

    CodesView rows_;
    std::vector<int64_t> ids_;
    std::vector<uint8_t> sorted_;  // rows_, where they came in another order
};

}  // namespace hashcore
