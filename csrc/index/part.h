#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "index/id_list.h"
#include "index/segment.h"
#include "index/tombstones.h"

namespace hashcore {

/// A segment, the ids of its codes, and which of them are removed. The others are live.
class Part {
 public:
    Part(std::unique_ptr<Segment> segment, IdList ids);
    Part(const SectionLoader& loader, uint32_t part, std::unique_ptr<Segment> segment);

    const Segment& segment() const { return *segment_; }
    const IdList& ids() const { return ids_; }
    const Tombstones& removed() const { return removed_; }
    int64_t count() const { return ids_.count(); }
    int64_t live() const { return count() - removed_.count(); }
    int64_t bytes() const { return segment_->bytes() + ids_.bytes() + removed_.bytes(); }
    bool mapped() const { return segment_->mapped() || removed_.mapped(); }

    int64_t find(int64_t id) const;               ///< position of a live code, or -1
    int64_t next_live(int64_t position) const;    ///< the first from `position` on, or count()
    const AllowedCodes* live_codes() const;       ///< null when all are live; until a change
    CodeBitmap live_bits(CodeBitmap bits) const;  ///< `bits` without the removed codes

    /// Whether append() may be called with ids of which `lowest` is the lowest.
    bool can_append(int64_t lowest) const { return segment_->can_append() && lowest > ids_.last(); }
    void append(CodesView rows, const std::vector<int64_t>& ids, Monitor* monitor);

    void reserve_removals() { removed_.reserve(count()); }
    bool remove(int64_t position) noexcept;  ///< after reserve_removals(); false if removed already

    std::vector<SectionData> sections(uint32_t part) const;

 private:
    std::unique_ptr<Segment> segment_;
    IdList ids_;
    Tombstones removed_;

    // live_codes(), made by the first search after a change.
    mutable std::mutex live_mutex_;
    mutable std::unique_ptr<const AllowedCodes> live_codes_;
    mutable bool live_codes_current_ = false;
};

/// Visits the live codes of two parts in ascending id order: visit(part, position).
template <class Visit>
void for_each_live(const Part& a, const Part& b, const Visit& visit) {
    int64_t in_a = a.next_live(0);
    int64_t in_b = b.next_live(0);
    while (in_a < a.count() || in_b < b.count()) {
        const bool a_is_next =
            in_b == b.count() || (in_a < a.count() && a.ids().at(in_a) < b.ids().at(in_b));
        if (a_is_next) {
            visit(a, in_a);
            in_a = a.next_live(in_a + 1);
        } else {
            visit(b, in_b);
            in_b = b.next_live(in_b + 1);
        }
    }
}

/// The live codes of two parts as one flat part in memory; both have a source().
std::unique_ptr<Part> merge_flat(const Part& a, const Part& b, Monitor* monitor);

}  // namespace hashcore
