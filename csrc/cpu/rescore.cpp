#include "hashcore/rescore.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/thread_pool.h"
#include "cpu/dispatch.h"
#include "cpu/kernels/half.inl.h"
#include "hashcore/codes.h"

namespace hashcore {
namespace {

constexpr int64_t bytes_a_range = int64_t{1} << 17;  // far longer than waking a thread takes
constexpr size_t rows_a_step = 1024;                 // between two looks at the monitor

/// Sorts by (rank, id); a rank is the score, turned where higher is better.
struct Candidate {
    float rank;
    int64_t id;

    bool operator<(const Candidate& other) const {
        return rank < other.rank || (rank == other.rank && id < other.id);
    }
};

/// Leaves the k best, sorted.
void keep_best(std::vector<Candidate>& candidates, size_t k) {
    if (candidates.size() <= k) {
        std::sort(candidates.begin(), candidates.end());
        return;
    }
    std::partial_sort(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(k),
                      candidates.end());
    candidates.resize(k);
}

int64_t row_bytes(const MatrixView& matrix) {
    switch (matrix.element) {
        case Element::f32:
            return matrix.dims * 4;
        case Element::f16:
            return matrix.dims * 2;
        case Element::i8:
            return matrix.dims;
        case Element::bit:
            return bytes_per_code(matrix.dims);
    }
    return 0;
}

const uint8_t* row_data(const MatrixView& matrix, int64_t row) {
    return static_cast<const uint8_t*>(matrix.data) + row * row_bytes(matrix);
}

/// Of any element but bits.
std::vector<float> row_floats(const MatrixView& matrix, int64_t row) {
    std::vector<float> values(static_cast<size_t>(matrix.dims));
    const void* data = row_data(matrix, row);
    for (size_t i = 0; i < values.size(); ++i)
        if (matrix.element == Element::f32)
            values[i] = static_cast<const float*>(data)[i];
        else if (matrix.element == Element::f16)
            values[i] = half_to_float(static_cast<const uint16_t*>(data)[i]);
        else
            values[i] = static_cast<const int8_t*>(data)[i];
    return values;
}

const RowKernels& row_kernels(const RowSumKernels& table, Element query, Element row) {
    if (query == Element::i8) return table.i16_i8;
    if (row == Element::f32) return table.f32_f32;
    return row == Element::f16 ? table.f32_f16 : table.f32_i8;
}

std::string row_name(const char* matrix, int64_t row) {
    return std::string(matrix) + ": row " + std::to_string(row);
}

void check_finite(const std::vector<float>& values, const char* name, int64_t row) {
    if (std::all_of(values.begin(), values.end(), [](float x) { return std::isfinite(x); })) return;
    throw std::invalid_argument(row_name(name, row) +
                                " holds NaN or infinity; expected finite values. "
                                "Remove or replace them first.");
}

/// A sum of squares that keeps float32's precision, or the zero vector's. Throws otherwise.
void check_square(const MatrixView& matrix, const char* name, int64_t row, float square) {
    if (std::isnormal(square)) return;
    const std::vector<float> values = row_floats(matrix, row);
    check_finite(values, name, row);
    if (std::all_of(values.begin(), values.end(), [](float x) { return x == 0; })) return;
    throw std::invalid_argument(row_name(name, row) +
                                " has a length outside 1e-19..1e19, whose square leaves float32's "
                                "range. Normalise the vectors first.");
}

void check_pad_bits(const MatrixView& codes, int64_t row) {
    if (find_pad_violation({row_data(codes, row), 1, codes.dims}) < 0) return;
    throw std::invalid_argument(row_name("vectors", row) + " has bits set past bit " +
                                std::to_string(codes.dims - 1) +
                                "; the pad bits of the last byte must be zero. "
                                "hashcore.pack() writes them so.");
}

/// One rescore(): what scores a row.
class Scorer {
 public:
    Scorer(const MatrixView& queries, const MatrixView& vectors, Metric metric)
        : queries_(queries), vectors_(vectors), metric_(metric) {
        const RowSumKernels& table = kernels().row_sums;
        const RowKernels& sums = row_kernels(table, queries.element, vectors.element);
        // A query's own square: its rows are what its kernel takes as rows too.
        query_square_ = row_kernels(table, queries.element, queries.element).dot;
        switch (metric) {
            case Metric::ip:
                sums_ = sums.dot;
                break;
            case Metric::cosine:
                sums_ = sums.dot_and_square;
                break;
            case Metric::l2:
                sums_ = sums.squared_distance;
                break;
            case Metric::asymmetric:
                sums_ = table.f32_bits;
                break;
        }
    }

    bool lower_is_better() const { return metric_ == Metric::l2; }

    /// A query as the kernels take it.
    class Query {
     public:
        Query(const Scorer& scorer, int64_t row);
        const void* data() const {
            return shorts_.empty() ? static_cast<const void*>(floats_.data()) : shorts_.data();
        }
        int64_t row() const { return row_; }
        float length() const { return length_; }

     private:
        int64_t row_;
        std::vector<float> floats_;
        std::vector<int16_t> shorts_;
        float length_ = 0;  // for cosine
    };

    /// The row numbers among ids[0, count).
    std::vector<int64_t> rows_of(const Query& query, const int64_t* ids, int64_t count) const;

    std::vector<Candidate> score(const Query& query, const std::vector<int64_t>& rows,
                                 Monitor* monitor) const;

 private:
    float checked_score(const Query& query, int64_t row, float sum, float square) const;

    const MatrixView& queries_;
    const MatrixView& vectors_;
    Metric metric_;
    RowSums sums_ = nullptr;
    RowSums query_square_ = nullptr;
};

Scorer::Query::Query(const Scorer& scorer, int64_t row) : row_(row) {
    const MatrixView& queries = scorer.queries_;
    const auto dims = static_cast<size_t>(queries.dims);
    const size_t padded = (dims + sum_lanes - 1) / sum_lanes * sum_lanes;
    if (queries.element == Element::i8) {
        const auto* values = reinterpret_cast<const int8_t*>(row_data(queries, row));
        shorts_.assign(values, values + dims);
        shorts_.resize(padded);
    } else {
        floats_ = row_floats(queries, row);
        check_finite(floats_, "queries", row);
        floats_.resize(padded);
        if (scorer.metric_ == Metric::asymmetric)
            for (auto byte = floats_.begin(); byte != floats_.end(); byte += 8)
                std::reverse(byte, byte + 8);
    }
    if (scorer.metric_ != Metric::cosine) return;
    float square = 0;
    float unused = 0;
    scorer.query_square_(data(), queries.data, dims, &row_, 1, &square, &unused);
    check_square(queries, "queries", row, square);
    length_ = std::sqrt(square);
}

std::vector<int64_t> Scorer::rows_of(const Query& query, const int64_t* ids, int64_t count) const {
    std::vector<int64_t> rows;
    rows.reserve(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) {
        if (ids[i] == -1) continue;
        if (ids[i] < 0 || ids[i] >= vectors_.count)
            throw std::invalid_argument(
                "result: expected ids below " + std::to_string(vectors_.count) +
                ", the rows of vectors, or -1; got " + std::to_string(ids[i]) + " for query " +
                std::to_string(query.row()) + ". Map ids of your own to row numbers first.");
        rows.push_back(ids[i]);
    }
    return rows;
}

float Scorer::checked_score(const Query& query, int64_t row, float sum, float square) const {
    if (vectors_.element == Element::bit) check_pad_bits(vectors_, row);
    float score = sum;
    if (metric_ == Metric::cosine) {
        check_square(vectors_, "vectors", row, square);
        const bool has_zero = query.length() == 0 || square == 0;
        score = has_zero ? 0 : sum / query.length() / std::sqrt(square);
    }
    if (std::isfinite(score)) return score;
    if (vectors_.element != Element::bit) check_finite(row_floats(vectors_, row), "vectors", row);
    throw std::invalid_argument(row_name("queries", query.row()) + " with row " +
                                std::to_string(row) +
                                " of vectors: the score leaves float32's range. "
                                "Normalise or scale the vectors first.");
}

std::vector<Candidate> Scorer::score(const Query& query, const std::vector<int64_t>& rows,
                                     Monitor* monitor) const {
    std::vector<Candidate> candidates;
    candidates.reserve(rows.size());
    std::vector<float> sums(std::min(rows.size(), rows_a_step));
    std::vector<float> squares(sums.size());
    for (size_t first = 0; first < rows.size(); first += rows_a_step) {
        const size_t count = std::min(rows_a_step, rows.size() - first);
        sums_(query.data(), vectors_.data, static_cast<size_t>(vectors_.dims), rows.data() + first,
              count, sums.data(), squares.data());
        for (size_t i = 0; i < count; ++i) {
            const int64_t row = rows[first + i];
            const float score = checked_score(query, row, sums[i], squares[i]);
            candidates.push_back({lower_is_better() ? score : -score, row});
        }
        if (monitor != nullptr) monitor->advance(static_cast<int64_t>(count));
    }
    return candidates;
}

}  // namespace

void rescore(const MatrixView& queries, ShortlistView shortlist, const MatrixView& vectors,
             int64_t k, Metric metric, int threads, Monitor* monitor, RescoreOutput out) {
    const Scorer scorer(queries, vectors, metric);
    const int64_t width = shortlist.width;
    const int64_t wanted_tasks = 4 * int64_t{resolve_threads(threads)};
    const int64_t most_ranges = width * row_bytes(vectors) / bytes_a_range + 1;
    const int64_t ranges =
        std::min(most_ranges, wanted_tasks / std::max<int64_t>(1, queries.count) + 1);
    const int64_t range_width = (width + ranges - 1) / ranges;
    std::vector<std::vector<Candidate>> best(static_cast<size_t>(queries.count * ranges));
    std::vector<std::atomic<int64_t>> ranges_left(static_cast<size_t>(queries.count));
    for (auto& left : ranges_left) left.store(ranges);
    if (monitor != nullptr) monitor->begin(queries.count * width);

    const auto write_row = [&](int64_t query, const std::vector<Candidate>& candidates) {
        float* scores = out.scores + query * k;
        int64_t* ids = out.ids + query * k;
        const bool lower = scorer.lower_is_better();
        for (size_t i = 0; i < candidates.size(); ++i) {
            scores[i] = lower ? candidates[i].rank : -candidates[i].rank;
            ids[i] = candidates[i].id;
        }
        constexpr float inf = std::numeric_limits<float>::infinity();
        std::fill(scores + candidates.size(), scores + k, lower ? inf : -inf);
        std::fill(ids + candidates.size(), ids + k, int64_t{-1});
    };

    parallel_for(queries.count * ranges, threads, monitor, [&](int64_t task) {
        const int64_t q = task / ranges;
        const Scorer::Query query(scorer, q);
        const int64_t first = task % ranges * range_width;
        const int64_t count = std::clamp<int64_t>(width - first, 0, range_width);
        const std::vector<int64_t> rows =
            scorer.rows_of(query, shortlist.ids + q * width + first, count);
        std::vector<Candidate>& part = best[static_cast<size_t>(task)];
        part = scorer.score(query, rows, monitor);
        keep_best(part, static_cast<size_t>(k));
        if (ranges_left[static_cast<size_t>(q)].fetch_sub(1) != 1) return;

        // The query's last range to end merges them all.
        std::vector<Candidate> all;
        for (int64_t r = q * ranges; r < (q + 1) * ranges; ++r) {
            std::vector<Candidate> taken = std::move(best[static_cast<size_t>(r)]);
            all.insert(all.end(), taken.begin(), taken.end());
        }
        if (ranges > 1) keep_best(all, static_cast<size_t>(k));
        write_row(q, all);
    });
    if (monitor != nullptr) monitor->finish();
}

}  // namespace hashcore
