#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "cpu/allowed.h"
#include "cpu/kernel_table.h"
#include "mih/hit_selection.h"
#include "mih/search.h"

namespace hashcore {

/// One query's way through the tables. Reused from query to query.
class MihWalk {
 public:
    /// `allowed` and `monitor` may be null.
    MihWalk(const MihSearcher& searcher, const AllowedCodes* allowed, Monitor* monitor);

    /// Starts over with the query `row`.
    void begin(const uint8_t* row);

    /// Looks keys up until `hits` is what a scan would find, and returns true; or returns false
    /// once a scan, which costs `scan_nanoseconds`, seems cheaper.
    bool walk(double scan_nanoseconds, HitSelection& hits);

    /// Offers all entries [first, last) of the first table: a part of a scan.
    void scan(int64_t first, int64_t last, HitSelection& hits);

    /// What has been done for all queries so far.
    struct Work {
        int64_t lookups = 0;     ///< keys looked up
        int64_t filled = 0;      ///< of which had entries
        int64_t candidates = 0;  ///< entries compared
        int64_t near = 0;        ///< of which were near enough to look at
    };
    const Work& work() const { return work_; }

 private:
    struct TableState {
        uint64_t key = 0;
        int64_t next = 0;             // key distances below it are done
        double crowd = 0;             // codes at the last key distance past an even share
        double codes_a_bucket = 0;    // expected at `next`
        std::vector<uint64_t> words;  // of the query, as this table's entries are
    };

    struct Step {
        size_t table;
        double nanoseconds;
    };
    Step cheapest() const;
    double even_share(size_t table) const;
    void expect(size_t table, double lookups, double found);
    bool step(size_t table, double scan_nanoseconds, HitSelection& hits);
    void look_up(size_t table, const uint32_t* keys, size_t count, uint32_t base,
                 HitSelection& hits);
    void push(size_t table, uint64_t begin, uint64_t count, uint32_t base, HitSelection& hits);
    void flush(size_t table, HitSelection& hits);
    void list_seen(size_t table);
    void take(size_t table, size_t found, HitSelection& hits);
    double nanoseconds(const Work& work) const;

    static constexpr size_t keys_at_once = 64;
    static constexpr size_t entries_at_once = 2048;

    const MihSearcher& searcher_;
    const MihTables& tables_;
    const KernelTable& kernels_;
    const AllowedCodes* allowed_;
    Monitor* monitor_;
    std::vector<TableState> states_;
    std::vector<std::vector<uint32_t>> rest_bits_;
    std::vector<SeenKey> seen_;  // of the step under way
    Work work_;

    size_t pending_buckets_ = 0, pending_entries_ = 0;
    std::array<Bucket, keys_at_once> buckets_;
    std::array<uint32_t, entries_at_once> numbers_;  // of rows
    std::array<Hit, entries_at_once + codes_per_block> found_;
};

}  // namespace hashcore
