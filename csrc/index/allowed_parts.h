#pragma once
#include <optional>

#include "cpu/allowed.h"
#include "index/part.h"

namespace hashcore {

/// What a search may return of the two parts of an index: live codes that a filter lets through.
class AllowedParts {
 public:
    /// `filter` may be null. A mask has an entry for each live code of both, in ascending id order.
    AllowedParts(const Filter* filter, const Part& base, const Part& delta);
    AllowedParts(const AllowedParts&) = delete;
    AllowedParts& operator=(const AllowedParts&) = delete;

    const AllowedCodes* base() const { return base_; }  ///< null: every code
    const AllowedCodes* delta() const { return delta_; }

 private:
    void deal_mask(const Filter& mask, const Part& base, const Part& delta);

    std::optional<AllowedCodes> of_base_, of_delta_;
    const AllowedCodes* base_;
    const AllowedCodes* delta_;
};

}  // namespace hashcore
