// The training ops on a GPU. Nothing here waits: all is queued on the stream, on memory of its
// device that the caller allocates and checks. Host code may include this without CUDA.
#pragma once
#include <cstddef>
#include <cstdint>

#include "hashcore/ops.h"

namespace hashcore::cuda {

struct Stream {
    int device;
    void* handle;  ///< a cudaStream_t
};

enum class Number { boolean, float16, bfloat16, float32, float64 };

/// Packs value > 0 of `values` [rows, bits], the first bit highest, to rows of `row_bytes` bytes,
/// which are 0 behind the last bit.
void pack_sign(const void* values, Number type, int64_t rows, int64_t bits, int64_t row_bytes,
               uint8_t* codes, const Stream& stream);

/// Labels of the rows and columns of a block of pairs, as bits in whole words.
struct PairLabels {
    const uint64_t* rows;
    const uint64_t* columns;
    int64_t words;
};

/// Products [rows, columns] become the derivatives by theta; losses [rows] are sums.
void pairwise_likelihood(float* products, int64_t rows, int64_t columns, const PairLabels& labels,
                         float scale, double* losses, const Stream& stream);

/// Where mining leaves what it finds of each anchor of a block.
struct MinedTriplets {
    double* sums;      ///< [rows, 4] loss, weight, triplets, counted
    int64_t* columns;  ///< [rows, 2] the positive and negative of hard mining, else null
    float* slopes;     ///< [rows, 2] derivatives by their distances, else null
};

/// How much memory of the device mining takes beside its arguments, in bytes.
int64_t mining_room(int64_t rows, int64_t columns, int64_t words, const TripletRule& rule,
                    int device);

/// Mines the triplets of a block of anchors. Other than hard mining leaves the derivatives by the
/// distances in place of the products. `discounts` [columns + 1] where the rule is weighted: sums
/// of the first 0..columns of 1 / log2(rank + 1).
void mine_triplets(const ProductBlock<float>& block, const PairLabels& labels,
                   const TripletRule& rule, const double* discounts, char* room,
                   const MinedTriplets& mined, const Stream& stream);

/// From the sums [rows, 4] of all anchors: the loss, and the scale of its derivatives.
void finish_triplets(const double* sums, int64_t rows, bool weighted, float* loss, float* scale,
                     const Stream& stream);

/// Batches whose pairs hard mining took: anchors [rows, bits] and candidates [columns, bits].
struct HardPairs {
    const float* anchors;
    const float* candidates;
    int64_t rows, columns, bits;
    const int64_t* of_row;  ///< [rows, 2] candidates
    const float* slopes;    ///< [rows, 2]
    const float* scale;     ///< of all derivatives
    bool squared;           ///< distances are |a - c|^2, else -a.c
};

/// Derivatives by the anchors [rows, bits] and candidates [columns, bits]. `order` [2 rows] are the
/// places in of_row sorted by their candidates, `sorted` [2 rows] those candidates.
void hard_gradients(const HardPairs& pairs, const int64_t* order, const int64_t* sorted,
                    float* of_anchors, float* of_candidates, const Stream& stream);

/// Outputs of a hash function.
struct Outputs {
    const void* values;   ///< [rows, bits]
    const void* targets;  ///< like them, or null
    Number type;          ///< float32 or float64
    int64_t rows, bits;
};

/// How many doubles relaxed_sign_sums needs as room.
int64_t relaxed_sign_room(int64_t rows, int64_t bits);

/// The means of RelaxedSignSums and of the squared columns, [4] of the type of the values, and the
/// columns [bits]. Writes h to `relaxed` [rows, bits] where it is not the values, unless that is
/// null.
void relaxed_sign_sums(const Outputs& outputs, const RelaxedSignRule& rule, double* room,
                       void* relaxed, void* terms, double* columns, const Stream& stream);

/// Derivatives [rows, bits] by the values of what has the derivatives `of_terms` [4] by those
/// means. When `continued`, the values are h, and the derivatives of something else by h that
/// `slopes` hold are added.
void relaxed_sign_slopes(const Outputs& outputs, const RelaxedSignRule& rule, const void* of_terms,
                         const double* columns, bool continued, void* slopes, const Stream& stream);

}  // namespace hashcore::cuda
