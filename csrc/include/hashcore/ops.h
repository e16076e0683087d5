// Training losses with their derivatives. Those over all pairs of two batches take blocks of inner
// products and work in place, so that the whole matrix is never needed.
//
// All give the same bits at every instruction-set level and thread count; `threads` 0 means
// num_threads().
#pragma once
#include <cstdint>

#include "hashcore/relaxed_sign.h"

namespace hashcore {

/// Sets of labels as bits: row i is words [i * words, (i + 1) * words).
struct LabelBits {
    const uint64_t* data;
    int64_t words;
};

/// Rows of inner products of some anchors with all candidates, and how these become distances d.
template <class Scalar>
struct ProductBlock {
    Scalar* values;  ///< [rows, columns]
    int64_t rows;
    int64_t columns;
    const Scalar* row_squares;     ///< [rows] squared norms: d = max(0, row + column - 2 product);
    const Scalar* column_squares;  ///< null, as both are, for d = -product
    int64_t own_column;            ///< row i leaves out column own_column + i; -1: nothing is out
};

enum class Mining {
    all,        ///< every triplet
    hard,       ///< of an anchor, the farthest positive and the nearest negative
    semi_hard,  ///< of a pair, the nearest negative that is farther than the positive
};

enum class Penalty {
    hinge,     ///< max(0, margin + d_ap - d_an)
    logistic,  ///< ln(1 + e^(margin + d_ap - d_an))
};

/// Which triplets there are and what one costs. With r the number of labels in common, a positive
/// has r_ap > 0 and a negative r_an = 0, or when graded r_an < r_ap. A triplet weighs 1, or when
/// weighted (2^r_ap - 2^r_an) / Z_a, Z_a = sum over the ideal order of (2^r - 1) / log2(rank + 1).
///
/// Graded hard mining takes, for each r_ap that an anchor meets, its farthest positive and its
/// nearest negative, and of these pairs the one with the greatest d_ap - d_an, then r_ap. Among
/// equal distances the first column counts.
struct TripletRule {
    Mining mining;
    Penalty penalty;
    bool graded;
    bool weighted;  ///< only where graded
    double margin;
};

/// Sums over the triplets of some anchors.
struct TripletSums {
    double loss;       ///< of weight times penalty, of those that are mined
    double weight;     ///< of all, mined or not
    int64_t triplets;  ///< of all
    int64_t counted;   ///< mined, and of penalty > 0 where it is the hinge
};

/// What hard mining takes of each anchor of a block.
template <class Scalar>
struct HardTriplets {
    int64_t* columns;  ///< [rows, 2] the positive and the negative
    Scalar* slopes;    ///< [rows, 2] derivatives of the loss by their distances: 0 where there is
                       ///< no triplet or a distance is cut off at 0
};

/// Mines the triplets of a block of anchors; `anchor_labels` begins with its first row. Hard ones
/// are left in `hard`, whose parts may be null otherwise; of others, with `differentiate`, the
/// values become the derivatives of the loss by the distances. A product that is not finite makes
/// the loss of its row, and its derivatives, NaN.
template <class Scalar>
TripletSums mine_triplets(const ProductBlock<Scalar>& block, LabelBits anchor_labels,
                          LabelBits candidate_labels, const TripletRule& rule,
                          const HardTriplets<Scalar>& hard, bool differentiate, int threads);

/// Anchors [rows, bits] and candidates [columns, bits].
template <class Scalar>
struct RowPairs {
    const Scalar* anchors;
    const Scalar* candidates;
    int64_t rows, columns, bits;
    bool squared;  ///< distances are |a - c|^2, else -a.c
};

/// Adds the derivatives by the anchors and candidates, of which hard mining took `hard`, to
/// `of_anchors` [rows, bits] and `of_candidates` [columns, bits].
template <class Scalar>
void add_hard_gradients(const RowPairs<Scalar>& pairs, const HardTriplets<Scalar>& hard,
                        Scalar scale, Scalar* of_anchors, Scalar* of_candidates);

/// Sums ln(1 + e^theta) - s theta over a block of pairs, theta = scale * product, s = 1 where a
/// label is in common, else 0, and leaves the derivatives by theta in place of the products.
/// `row_labels` begins with the first row of the block.
template <class Scalar>
double pairwise_likelihood(Scalar* products, int64_t rows, int64_t columns, LabelBits row_labels,
                           LabelBits column_labels, double scale, int threads);

/// What outputs pay for not being signs: means of RelaxedSignSums and of the squared columns.
struct RelaxedSignTerms {
    double relaxation, excess, quantisation, balance;
};

/// Of rows [rows, bits], `targets` like them or null. Writes the sums of the columns of h to
/// `columns` [bits], and h to `relaxed` [rows, bits] where it is not the values, unless that is
/// null.
template <class Scalar>
RelaxedSignTerms relaxed_sign_terms(const Scalar* values, const Scalar* targets, int64_t rows,
                                    int64_t bits, const RelaxedSignRule& rule, int threads,
                                    Scalar* relaxed, double* columns);

/// The derivatives by the values, [rows, bits], of what has the derivatives `of_terms` by those
/// terms. When `continued`, `values` are h, and the derivatives of something else by h that
/// `slopes` hold are added. `slopes` are no memory of another argument.
template <class Scalar>
void relaxed_sign_slopes(const Scalar* values, const Scalar* targets, int64_t rows, int64_t bits,
                         const RelaxedSignRule& rule, const RelaxedSignTerms& of_terms,
                         const double* columns, int threads, bool continued, Scalar* slopes);

/// How the bits of h [rows, bits] depend on each other: in place of h^T h [bits, bits] comes
/// h^T h / rows - I. Returns the mean of its squares.
template <class Scalar>
double correlate(Scalar* products, int64_t rows, int64_t bits, int threads);

}  // namespace hashcore
