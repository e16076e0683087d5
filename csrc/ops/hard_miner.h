// Hard mining that is not graded: the farthest positive and the nearest negative of an anchor.
#pragma once
#include <algorithm>
#include <limits>
#include <vector>

#include "core/triplet_cost.h"
#include "cpu/dispatch.h"

namespace hashcore {

/// Mines one anchor after another; memory stays.
template <class Scalar>
class HardMiner {
 public:
    HardMiner(int64_t columns, const TripletRule& rule)
        : rule_(rule), kernels_(loss_kernels<Scalar>()), marks_(static_cast<size_t>(columns)) {}

    TripletSums mine(const ProductBlock<Scalar>& block, int64_t row, LabelBits anchors,
                     LabelBits candidates) {
        kernels_.mark_similar(anchors.data + row * anchors.words, candidates.data,
                              static_cast<size_t>(candidates.words), marks_.size(), marks_.data());
        if (block.own_column >= 0) marks_[static_cast<size_t>(block.own_column + row)] = left_out;
        const bool squared = block.row_squares != nullptr;
        const Extremes<Scalar> found =
            kernels_.extremes({block.values + row * block.columns,
                               squared ? block.row_squares[row] : Scalar{0}, block.column_squares},
                              marks_.data(), marks_.size());
        std::fill_n(columns_, 2, int64_t{0});
        std::fill_n(slopes_, 2, Scalar{0});
        if (!found.finite) {
            std::fill_n(slopes_, 2, std::numeric_limits<Scalar>::quiet_NaN());
            return {std::numeric_limits<double>::quiet_NaN(), 0, 0, 0};
        }
        if (found.ones == 0 || found.zeros == 0) return {};
        const Scalar threshold = static_cast<Scalar>(rule_.margin) + found.farthest;
        const TripletCost cost = cost_of(
            rule_.penalty, static_cast<double>(threshold) - static_cast<double>(found.nearest), 1);
        columns_[0] = found.farthest_at;
        columns_[1] = found.nearest_at;
        if (!squared || found.farthest > 0) slopes_[0] = static_cast<Scalar>(cost.slope);
        if (!squared || found.nearest > 0) slopes_[1] = static_cast<Scalar>(-cost.slope);
        const int64_t triplets = found.ones * found.zeros;
        return {cost.loss, static_cast<double>(triplets), triplets, cost.counted ? 1 : 0};
    }

    /// What was taken of the last anchor.
    void store_hardest(int64_t* columns, Scalar* slopes) const {
        std::copy_n(columns_, 2, columns);
        std::copy_n(slopes_, 2, slopes);
    }
    void store_slopes(Scalar*, int64_t) const {}  // there are none but the hardest's

 private:
    static constexpr Mark<Scalar> left_out = 2;

    const TripletRule rule_;
    const LossKernels<Scalar>& kernels_;
    std::vector<Mark<Scalar>> marks_;  // [columns] 1 for a positive, 0 for a negative
    int64_t columns_[2] = {};
    Scalar slopes_[2] = {};
};

}  // namespace hashcore
