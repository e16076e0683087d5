#pragma once
#include <memory>
#include <string>
#include <vector>

#include "core/shared_lock.h"
#include "hashcore/index.h"
#include "index/factory.h"
#include "index/part.h"
#include "index/serialize.h"

namespace hashcore {

/// The index of every kind: a base, and a flat delta in memory for codes that the base cannot
/// take, because it does not grow or because their ids do not all lie above its own. An id is live
/// in one of them at most; searches see both, and compact() makes them one.
class StoredIndex final : public Index {
 public:
    StoredIndex(SegmentOptions options, std::unique_ptr<Segment> base, IdList ids);
    StoredIndex(const SectionLoader& loader, SegmentOptions options);

    std::string kind() const override;
    int64_t bits() const override { return bits_; }
    int64_t size() const override;
    int64_t bytes_in_memory() const override;
    bool mapped() const override;
    Stats stats() const override;

    void add(CodesView codes, const int64_t* ids, int64_t* out_ids, Monitor* monitor) override;
    int64_t remove(const int64_t* ids, int64_t count, Monitor* monitor) override;
    void compact(Monitor* monitor) override;

    void search(CodesView queries, int64_t k, std::optional<int64_t> max_distance,
                const SearchOptions& options, KnnOutput out) const override;
    RangeOutput range_search(CodesView queries, int64_t radius, std::optional<int64_t> max_results,
                             const SearchOptions& options) const override;
    bool contains(int64_t id) const override;
    std::vector<int64_t> all_ids() const override;
    void get(const int64_t* ids, int64_t count, uint8_t* out) const override;
    void save(const std::string& path, Monitor* monitor) const override;

 private:
    // All of these expect the lock to be held.
    int64_t live() const { return base_->live() + delta_->live(); }
    SegmentQuery query_for(const Part& part, CodesView queries, const AllowedCodes* allowed,
                           const SearchOptions& options) const;
    bool wants_other_kind(Monitor* monitor) const;
    std::unique_ptr<Part> rebuilt(Monitor* monitor) const;
    void check_parts(const SectionLoader& loader) const;

    const int64_t bits_;
    SegmentOptions options_;  // does not change once the index is made
    mutable SharedLock lock_;
    std::unique_ptr<Part> base_;
    std::unique_ptr<Part> delta_;
    int64_t next_id_ = 0;
};

}  // namespace hashcore
