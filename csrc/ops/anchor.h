// The candidates of one anchor, those that share fewer labels with it first.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "cpu/dispatch.h"
#include "hashcore/ops.h"

namespace hashcore {

/// Candidates that share as many labels with the anchor: items [begin, end).
struct Level {
    uint32_t shared;
    double gain;  ///< a weighted triplet of two levels weighs the difference of their gains
    size_t begin, end;

    size_t size() const { return end - begin; }
};

/// Sums of the first 0..count of 1 / log2(rank + 1).
std::vector<double> sum_discounts(int64_t count);

template <class Scalar>
class Anchor {
 public:
    /// Levels are by the number of labels in common, or not `graded` by whether there are any. With
    /// `discounts`, see sum_discounts(), they have gains.
    Anchor(int64_t columns, bool graded, const std::vector<double>* discounts);

    /// Takes row `row` of a block; false if one of its products is not finite.
    bool take(const ProductBlock<Scalar>& block, int64_t row, LabelBits anchors,
              LabelBits candidates);

    /// Ascending in `shared`. Items of a level stand in the order of their columns.
    const std::vector<Level>& levels() const { return levels_; }
    size_t column(size_t item) const { return columns_[item]; }
    Scalar distance(size_t item) const { return distances_[item]; }
    const Scalar* distances() const { return distances_.data(); }
    size_t size() const { return levels_.empty() ? 0 : levels_.back().end; }

    /// What distance() was cut off at 0, so that it does not move with its product.
    bool is_cut(size_t item) const { return cut_at_zero_ && distances_[item] <= 0; }

 private:
    void count_shared(const uint64_t* anchor, LabelBits candidates);
    void make_levels(size_t own);
    void set_gains();

    const LossKernels<Scalar>& kernels_;
    const bool graded_;
    const std::vector<double>* const discounts_;
    bool cut_at_zero_ = false;
    uint32_t most_shared_ = 0;
    std::vector<Mark<Scalar>> shared_;  // [columns] labels in common, by column
    std::vector<size_t> next_;          // [most_shared + 2] where the next item of a level goes
    std::vector<Level> levels_;
    std::vector<size_t> columns_;    // [columns] by item
    std::vector<Scalar> distances_;  // [columns] by item
};

}  // namespace hashcore
