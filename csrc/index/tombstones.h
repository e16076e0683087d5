#pragma once
#include <cstdint>
#include <memory>
#include <optional>

#include "cpu/code_bitmap.h"
#include "index/serialize.h"

namespace hashcore {

/// Which codes of a segment are removed.
class Tombstones {
 public:
    Tombstones() = default;
    Tombstones(const SectionLoader& loader, uint32_t part);

    int64_t count() const { return count_; }
    bool has(int64_t position) const {
        return position / 64 < words_ && (data()[position / 64] >> (position % 64) & 1) != 0;
    }

    /// Bits of word i; codes past the last word are not removed.
    const uint64_t* data() const { return mapped_ != nullptr ? mapped_.get() : owned_.data(); }
    int64_t words() const { return words_; }
    bool mapped() const { return mapped_ != nullptr; }
    int64_t bytes() const { return mapped_ != nullptr ? words_ * 8 : owned_.bytes(); }

    /// Room for the bits of `codes` codes, so that insert() cannot fail.
    void reserve(int64_t codes);
    bool insert(int64_t position) noexcept;  ///< false when it is removed already

    /// The section of a segment of `codes` codes.
    std::optional<SectionData> section(uint32_t part, int64_t codes) const;

 private:
    int64_t count_ = 0;
    int64_t words_ = 0;
    CodeBitmap owned_;
    std::shared_ptr<const uint64_t> mapped_;
};

}  // namespace hashcore
