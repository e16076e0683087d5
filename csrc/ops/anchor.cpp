#include "ops/anchor.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace hashcore {

std::vector<double> sum_discounts(int64_t count) {
    std::vector<double> sums(static_cast<size_t>(count) + 1);
    for (size_t i = 1; i < sums.size(); ++i)
        sums[i] = sums[i - 1] + 1 / std::log2(static_cast<double>(i) + 1);
    return sums;
}

template <class Scalar>
Anchor<Scalar>::Anchor(int64_t columns, bool graded, const std::vector<double>* discounts)
    : kernels_(loss_kernels<Scalar>()),
      graded_(graded),
      discounts_(discounts),
      shared_(static_cast<size_t>(columns)),
      columns_(static_cast<size_t>(columns)),
      distances_(static_cast<size_t>(columns)) {}

template <class Scalar>
bool Anchor<Scalar>::take(const ProductBlock<Scalar>& block, int64_t row, LabelBits anchors,
                          LabelBits candidates) {
    const Scalar* products = block.values + row * block.columns;
    const auto own =
        block.own_column < 0 ? shared_.size() : static_cast<size_t>(block.own_column + row);
    count_shared(anchors.data + row * anchors.words, candidates);
    make_levels(own);
    cut_at_zero_ = block.row_squares != nullptr;
    Scalar poison = 0;
    for (size_t i = 0; i < shared_.size(); ++i) {
        poison += products[i] * 0;  // NaN of a NaN or an infinity
        if (i == own) continue;
        const size_t item = next_[static_cast<size_t>(shared_[i])]++;
        columns_[item] = i;
        distances_[item] = cut_at_zero_
                               ? std::max(Scalar{0}, block.row_squares[row] +
                                                         block.column_squares[i] - 2 * products[i])
                               : -products[i];
    }
    return poison == 0;
}

template <class Scalar>
void Anchor<Scalar>::count_shared(const uint64_t* anchor, LabelBits candidates) {
    const auto words = static_cast<size_t>(candidates.words);
    const uint64_t* labels = candidates.data;
    most_shared_ = 1;
    if (!graded_)
        return kernels_.mark_similar(anchor, labels, words, shared_.size(), shared_.data());
    for (Mark<Scalar>& shared : shared_) {
        uint32_t count = 0;
        for (size_t w = 0; w < words; ++w)
            if (const uint64_t both = anchor[w] & labels[w]; both != 0)
                count += static_cast<uint32_t>(__builtin_popcountll(both));
        shared = static_cast<Mark<Scalar>>(count);
        most_shared_ = std::max(most_shared_, count);
        labels += words;
    }
}

template <class Scalar>
void Anchor<Scalar>::make_levels(size_t own) {
    next_.assign(size_t{most_shared_} + 2, 0);
    if (most_shared_ == 1) {  // a sum has no counters that wait for each other
        const auto ones =
            static_cast<size_t>(std::accumulate(shared_.begin(), shared_.end(), Mark<Scalar>{0}));
        next_[1] = shared_.size() - ones;
        next_[2] = ones;
    } else {
        for (const Mark<Scalar> shared : shared_) ++next_[static_cast<size_t>(shared) + 1];
    }
    if (own < shared_.size()) --next_[static_cast<size_t>(shared_[own]) + 1];
    levels_.clear();
    for (uint32_t shared = 0; shared <= most_shared_; ++shared) {
        const size_t begin = next_[shared];
        next_[shared + 1] += begin;
        if (begin < next_[shared + 1]) levels_.push_back({shared, 0, begin, next_[shared + 1]});
    }
    set_gains();
}

/// Gains 2^shared / Z. All powers are taken over the largest, so that none overflows.
template <class Scalar>
void Anchor<Scalar>::set_gains() {
    if (discounts_ == nullptr) return;
    const auto power = [this](uint32_t shared) {
        return std::exp2(static_cast<double>(shared) - most_shared_);
    };
    double ideal = 0;
    for (const Level& level : levels_) {
        const double discount =
            (*discounts_)[size() - level.begin] - (*discounts_)[size() - level.end];
        ideal += (power(level.shared) - power(0)) * discount;
    }
    for (Level& level : levels_) level.gain = ideal > 0 ? power(level.shared) / ideal : 0;
}

template class Anchor<float>;
template class Anchor<double>;

}  // namespace hashcore
