#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "cpu/tiles.h"
#include "index/segment.h"

namespace hashcore {

/// Codes that every search scans: interleaved blocks in memory or in an index file, or rows that
/// belong to somebody else.
class FlatSegment final : public Segment {
 public:
    explicit FlatSegment(int64_t bits) : bits_(bits) {}

    /// `blocks` hold `count` codes and zeros behind them.
    FlatSegment(int64_t bits, int64_t count, WordBuffer blocks);

    FlatSegment(const SectionLoader& loader, uint32_t part);

    /// Reads `rows` where they are. `owner`, where there is one, keeps them alive.
    static std::unique_ptr<FlatSegment> borrow(CodesView rows, std::shared_ptr<const void> owner);

    FileKind kind() const override { return FileKind::flat; }
    int64_t bits() const override { return bits_; }
    int64_t count() const override { return count_; }
    int64_t bytes() const override;
    bool mapped() const override { return mapped_ != nullptr; }

    void knn(const SegmentQuery& query, int64_t k, std::optional<int64_t> max_distance,
             KnnOutput out) const override;
    RangeOutput range_search(const SegmentQuery& query, int64_t radius,
                             std::optional<int64_t> max_results) const override;
    void read_codes(const int64_t* positions, int64_t count, uint8_t* rows) const override;
    void read_all(uint8_t* rows, int threads, Monitor* monitor) const override;
    std::optional<CodeSource> source() const override;

    bool can_append() const override { return !mapped() && !borrowed_; }
    void append(CodesView rows, Monitor* monitor) override;

    std::vector<SectionData> sections(uint32_t part) const override;
    void add_stats(Stats&) const override {}

 private:
    CodeSource scanned() const;
    void read(int64_t position, uint8_t* row) const;
    void reserve(int64_t codes);
    void check_pad_bits(const SectionLoader& loader) const;

    int64_t bits_;
    int64_t count_ = 0;
    WordBuffer owned_;  ///< lanes past count_ in the last block are zero: equal codes, equal files
    std::shared_ptr<const uint64_t> mapped_;
    bool borrowed_ = false;  ///< what is scanned are rows_, alive while owner_ is
    CodesView rows_{};
    std::shared_ptr<const void> owner_;
};

}  // namespace hashcore
