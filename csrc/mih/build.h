// Building the tables of a multi-index hash by counting sort.
#pragma once
#include <cstdint>
#include <vector>

#include "hashcore/codes.h"
#include "hashcore/runtime.h"
#include "mih/bit_gather.h"
#include "mih/tables.h"

namespace hashcore {

/// Sorts codes into one table, a slice of its entries at a time. Threads take ranges of the codes,
/// so that the entries of a key stand in position order whatever their number.
class MihTableBuilder {
 public:
    /// Counts the codes of every key. `codes` must outlive this.
    MihTableBuilder(const MihPlan& plan, int64_t table, CodesView codes, int threads,
                    Monitor* monitor);

    /// [keys + 1] the first entry of each key.
    const std::vector<uint32_t>& starts() const { return starts_; }

    /// Writes entries [first, last) and their positions, in one pass over the codes. Slices follow
    /// each other, from any entry on.
    void fill(int64_t first, int64_t last, uint8_t* entries, uint32_t* positions);

 private:
    struct Range {
        int64_t begin, end;
    };
    Range range(int64_t part) const;
    template <class Visit>
    void for_each_row(int64_t part, const Visit& visit) const;
    template <class Put>
    void scatter(int64_t first, int64_t last, uint32_t* positions, const Put& put);

    const MihPlan& plan_;
    int64_t table_;
    CodesView codes_;
    int threads_;
    Monitor* monitor_;
    BitGather key_of_;
    int64_t parts_;
    std::vector<uint32_t> starts_;
    std::vector<std::vector<uint32_t>> next_;  // [parts][keys] where a part's next entry goes
};

/// All tables in memory. The monitor counts codes: two passes a table.
MihTables build_mih(MihPlan plan, CodesView codes, int threads, Monitor* monitor);

}  // namespace hashcore
