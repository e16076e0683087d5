#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "cpu/collectors.h"

namespace hashcore {

/// The best hits of one query among codes that come in any order, each once.
class HitSelection {
 public:
    explicit HitSelection(const Request& request)
        : request_(request),
          limit_(request.limit),
          bound_(make_hit(request.limit, 0)),
          counts_(request.keep_all ? 0 : static_cast<size_t>(request.bits + 1)) {}

    /// Only a code nearer than this can still be wanted.
    uint32_t limit() const { return limit_; }

    /// Whether no code but those within `distance` can be wanted.
    bool complete_within(int64_t distance) const {
        return static_cast<int64_t>(limit_) - 1 <= distance;
    }

    void add(Hit hit) {
        if (hit >= bound_ || hit_distance(hit) >= limit_) return;
        hits_.push_back(hit);
        if (request_.keep_all) return;
        ++counts_[hit_distance(hit)];
        ++within_;
        while (within_ - counts_[limit_ - 1] >= request_.k) within_ -= counts_[--limit_];
        if (hits_.size() >= 2 * static_cast<size_t>(request_.k) + slack) prune();
    }

    /// The hits in ascending (distance, position).
    const std::vector<Hit>& sorted() {
        if (!request_.keep_all && hits_.size() > static_cast<size_t>(request_.k)) prune();
        std::sort(hits_.begin(), hits_.end());
        return hits_;
    }

 private:
    static constexpr size_t slack = 512;

    /// Keeps the k best.
    void prune() {
        const auto last = hits_.begin() + (request_.k - 1);
        std::nth_element(hits_.begin(), last, hits_.end());
        bound_ = *last;
        for (auto hit = last + 1; hit != hits_.end(); ++hit) --counts_[hit_distance(*hit)];
        hits_.resize(static_cast<size_t>(request_.k));
        within_ = request_.k;
    }

    const Request& request_;
    uint32_t limit_;
    Hit bound_;           // hits at or past it are not among the best
    int64_t within_ = 0;  // hits nearer than limit_
    std::vector<int64_t> counts_;
    std::vector<Hit> hits_;
};

}  // namespace hashcore
