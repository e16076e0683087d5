#pragma once
#include <cstdint>

#include "hashcore/runtime.h"

namespace hashcore {

inline constexpr int64_t max_dims = 65'536;

/// What a matrix is made of. A row of bits is a packed code, see CodesView.
enum class Element { f32, f16, i8, bit };

/// `count` rows of `dims` elements in the caller's memory, C-contiguous; 1..max_dims elements.
struct MatrixView {
    const void* data;
    Element element;
    int64_t count;
    int64_t dims;
};

/// Scores of a query q and a row v. Higher is better but for `l2`.
enum class Metric {
    ip,          ///< sum of q[i] * v[i]
    cosine,      ///< ip / |q| / |v|; 0 where q or v is zero
    l2,          ///< sum of (q[i] - v[i])^2: lower is better
    asymmetric,  ///< v a packed code: sum of q[i] where bit i is set, of -q[i] elsewhere
};

/// Row numbers to score, [queries, width]; -1 is none.
struct ShortlistView {
    const int64_t* ids;
    int64_t width;
};

/// Rows of `k` entries by (score, best first; id, ascending). Missing hits stand at the tail with
/// id -1 and the worst score: -inf, or +inf for `l2`.
struct RescoreOutput {
    float* scores;  ///< [queries, k]
    int64_t* ids;   ///< [queries, k]
};

/// Scores every shortlisted row and keeps the k best of each query; of `vectors`, only
/// those rows are read. A row listed twice counts twice.
///
/// Queries are f32, or i8 with i8 vectors, which is summed exactly and rounded once. Floats are
/// multiplied and added in float32 in one fixed order, so that every instruction-set level and
/// thread count gives the same bits.
///
/// `threads` 0 means num_threads(); `monitor` may be null. Throws std::invalid_argument, naming the
/// row, for an id that is no row, a value that is not finite, a code with pad bits set and a score
/// that float32 cannot hold.
void rescore(const MatrixView& queries, ShortlistView shortlist, const MatrixView& vectors,
             int64_t k, Metric metric, int threads, Monitor* monitor, RescoreOutput out);

}  // namespace hashcore
