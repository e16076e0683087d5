// Which items are relevant to a query and how much, from the labels alone.
#pragma once
#include <vector>

#include "cpu/dispatch.h"
#include "hashcore/metrics.h"

namespace hashcore {

/// Items of a word of a relevance mask.
inline constexpr int64_t mask_items = 64;

/// Sets are kept class by class, a bit an item: what a query's few classes say of 64 items takes a
/// few operations. That is one transposed copy of the database's labels.
class Relevance {
 public:
    /// Without `graded`, every relevant item has grade 1.
    Relevance(const LabelledCodes& queries, const LabelledCodes& database, bool graded);

    /// No item has a larger grade for any query; at least 1.
    uint32_t max_grade() const { return max_grade_; }

    /// Writes a bit for each of `count` items from `first`, a multiple of 64: 1 if relevant. Bits
    /// of the last word past the end are 0.
    void mask(int64_t query, int64_t first, int64_t count, uint64_t* words) const;

    /// How many classes the two share.
    uint32_t grade(int64_t query, int64_t item) const;

    /// Items of each grade [max_grade + 1], for graded sets. Grades past the best `wanted` items
    /// are counted in part, grade 0 not at all.
    std::vector<int64_t> best_grades(int64_t query, int64_t wanted) const;

 private:
    struct Classes {
        const uint32_t *begin, *end;
    };
    Classes classes(int64_t query) const;
    const uint64_t* members(uint32_t one_class) const {
        return members_.data() + one_class * item_words_;
    }
    void match_ids(int64_t query, int64_t first, int64_t count, uint64_t* words) const;

    const KernelTable& table_;
    LabelsView queries_, database_;
    int64_t item_count_, item_words_;
    uint32_t max_grade_ = 1;
    std::vector<size_t> first_class_;      // [queries + 1] into query_classes_
    std::vector<uint32_t> query_classes_;  // of every query's set, ascending
    std::vector<uint64_t> members_;        // [classes, item_words_] a bit an item
};

}  // namespace hashcore
