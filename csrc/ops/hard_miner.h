// Hard mining that is not graded: the farthest positive and the nearest negative of an anchor.
#pragma once
#include <algorithm>
#include <limits>
#include <vector>

#include "core/triplet_cost.h"
#include "cpu/dispatch.h"
#include "ops/similar.h"

namespace hashcore {

/// Mines one anchor after another; memory stays.
template <class Scalar>
class HardMiner {
 public:
    HardMiner(int64_t columns, const TripletRule& rule)
        : rule_(rule),
          kernels_(loss_kernels<Scalar>()),
          kinds_(static_cast<size_t>(columns)),
          distances_(static_cast<size_t>(columns)) {}

    TripletSums mine(const ProductBlock<Scalar>& block, int64_t row, LabelBits anchors,
                     LabelBits candidates) {
        columns_[0] = columns_[1] = 0;
        slopes_[0] = slopes_[1] = 0;
        if (!set_distances(block, row)) {
            slopes_[0] = slopes_[1] = std::numeric_limits<Scalar>::quiet_NaN();
            return {std::numeric_limits<double>::quiet_NaN(), 0, 0, 0};
        }
        mark_similar(anchors.data + row * anchors.words, candidates, kinds_);
        if (block.own_column >= 0) kinds_[static_cast<size_t>(block.own_column + row)] = left_out;
        const auto positives = static_cast<int64_t>(std::count(kinds_.begin(), kinds_.end(), 1));
        const auto negatives = static_cast<int64_t>(std::count(kinds_.begin(), kinds_.end(), 0));
        if (positives == 0 || negatives == 0) return {};
        const auto [farthest, nearest] =
            kernels_.extremes(distances_.data(), kinds_.data(), distances_.size());
        const auto threshold = static_cast<double>(static_cast<Scalar>(rule_.margin) + farthest);
        const TripletCost cost =
            cost_of(rule_.penalty, threshold - static_cast<double>(nearest), 1);
        const bool cuts = block.row_squares != nullptr;
        columns_[0] = first_of(1, farthest);
        columns_[1] = first_of(0, nearest);
        if (!cuts || farthest > 0) slopes_[0] = static_cast<Scalar>(cost.slope);
        if (!cuts || nearest > 0) slopes_[1] = static_cast<Scalar>(-cost.slope);
        const int64_t triplets = positives * negatives;
        return {cost.loss, static_cast<double>(triplets), triplets, cost.counted ? 1 : 0};
    }

    /// What was taken of the last anchor.
    void store_hardest(int64_t* columns, Scalar* slopes) const {
        std::copy_n(columns_, 2, columns);
        std::copy_n(slopes_, 2, slopes);
    }
    void store_slopes(Scalar*, int64_t) const {}  // there are none but the hardest's

 private:
    static constexpr uint8_t left_out = 2;

    /// False where a product is not finite.
    bool set_distances(const ProductBlock<Scalar>& block, int64_t row) {
        const Scalar* products = block.values + row * block.columns;
        Scalar poison = 0;
        if (block.row_squares == nullptr) {
            for (size_t i = 0; i < distances_.size(); ++i) distances_[i] = -products[i];
        } else {
            const Scalar own = block.row_squares[row];
            for (size_t i = 0; i < distances_.size(); ++i) {
                const Scalar d = own + block.column_squares[i] - 2 * products[i];
                distances_[i] = d > 0 ? d : Scalar{0};
            }
        }
        for (size_t i = 0; i < distances_.size(); ++i) poison += products[i] * 0;
        return poison == 0;
    }

    int64_t first_of(uint8_t kind, Scalar distance) const {
        size_t i = 0;
        while (kinds_[i] != kind || distances_[i] != distance) ++i;
        return static_cast<int64_t>(i);
    }

    const TripletRule rule_;
    const LossKernels<Scalar>& kernels_;
    std::vector<uint8_t> kinds_;     // [columns] 1 for a positive, 0 for a negative
    std::vector<Scalar> distances_;  // [columns]
    int64_t columns_[2] = {};
    Scalar slopes_[2] = {};
};

}  // namespace hashcore
