#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "index/serialize.h"

namespace hashcore {

/// The ids of the codes of a segment, ascending. 0, 1, 2, ... are not stored.
class IdList {
 public:
    IdList() = default;
    explicit IdList(std::vector<int64_t> ascending);
    static IdList dense(int64_t count);
    IdList(const SectionLoader& loader, uint32_t part);

    int64_t count() const { return count_; }
    const int64_t* data() const;  ///< null when a position is its own id
    int64_t at(int64_t position) const { return data() == nullptr ? position : data()[position]; }
    int64_t last() const { return count_ == 0 ? -1 : at(count_ - 1); }
    int64_t lower_bound(int64_t id) const;  ///< position of the first id that is not below
    int64_t position_of(int64_t id) const;  ///< -1 when it is not there
    int64_t bytes() const;

    /// Room for `more`, which lie above last(), so that append() of them cannot fail. Not for ids
    /// in a file. undo_reserve() gives the room back.
    void reserve(const std::vector<int64_t>& more);
    void undo_reserve() noexcept;
    void append(const std::vector<int64_t>& more) noexcept;

    std::optional<SectionData> section(uint32_t part) const;

 private:
    bool stays_dense(const std::vector<int64_t>& more) const;

    int64_t count_ = 0;
    bool dense_ = true;
    std::vector<int64_t> owned_;
    std::shared_ptr<const int64_t> mapped_;
};

}  // namespace hashcore
