#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "index/segment.h"
#include "mih/search.h"
#include "mih/tables.h"

namespace hashcore {

/// Codes in the tables of a multi-index hash, in memory or in an index file.
class MihSegment final : public Segment {
 public:
    explicit MihSegment(MihTables tables, bool mapped = false);

    static std::unique_ptr<MihSegment> load(const SectionLoader& loader);

    FileKind kind() const override { return FileKind::mih; }
    int64_t bits() const override { return tables_.plan.bits; }
    int64_t count() const override { return tables_.count; }
    int64_t bytes() const override;
    bool mapped() const override { return mapped_; }

    void knn(const SegmentQuery& query, int64_t k, std::optional<int64_t> max_distance,
             KnnOutput out) const override;
    RangeOutput range_search(const SegmentQuery& query, int64_t radius,
                             std::optional<int64_t> max_results) const override;
    /// Unless the codes are kept as rows, this reads through one table whatever `count` is.
    void read_codes(const int64_t* positions, int64_t count, uint8_t* rows) const override;
    void read_all(uint8_t* rows, int threads, Monitor* monitor) const override;

    std::vector<SectionData> sections(uint32_t part) const override;
    MihParams mih_params() const override;
    void add_stats(Stats& stats) const override;

 private:
    const MihTables tables_;
    const bool mapped_;
    const std::vector<uint32_t> plan_record_;
    MihSearcher searcher_;
};

}  // namespace hashcore
