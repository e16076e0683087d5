#include "index/merge_hits.h"

#include <algorithm>
#include <tuple>

namespace hashcore {
namespace {

/// Hits of one query, ascending (distance, id).
struct Row {
    const int32_t* distances;
    const int64_t* ids;
    int64_t count;
};

/// Writes the first `most` hits of both rows in order; returns how many there were.
int64_t merge_rows(Row a, Row b, int64_t most, int32_t* distances, int64_t* ids) {
    const int64_t total = std::min(most, a.count + b.count);
    int64_t in_a = 0;
    for (int64_t i = 0; i < total; ++i) {
        const int64_t in_b = i - in_a;
        const bool a_is_next =
            in_b == b.count || (in_a < a.count && std::tie(a.distances[in_a], a.ids[in_a]) <
                                                      std::tie(b.distances[in_b], b.ids[in_b]));
        const Row& from = a_is_next ? a : b;
        const int64_t at = a_is_next ? in_a++ : in_b;
        distances[i] = from.distances[at];
        ids[i] = from.ids[at];
    }
    return total;
}

}  // namespace

KnnRows::KnnRows(int64_t queries, int64_t k)
    : k_(k),
      distances_(static_cast<size_t>(queries * k)),
      ids_(distances_.size()),
      counts_(static_cast<size_t>(queries)) {}

void merge_knn(KnnOutput rows, int64_t k, KnnOutput more, int64_t more_k, int64_t queries) {
    std::vector<int32_t> distances(static_cast<size_t>(k));
    std::vector<int64_t> ids(static_cast<size_t>(k));
    for (int64_t q = 0; q < queries; ++q) {
        if (more.counts[q] == 0) continue;
        const int64_t count =
            merge_rows({rows.distances + q * k, rows.ids + q * k, rows.counts[q]},
                       {more.distances + q * more_k, more.ids + q * more_k, more.counts[q]}, k,
                       distances.data(), ids.data());
        std::copy_n(distances.begin(), count, rows.distances + q * k);
        std::copy_n(ids.begin(), count, rows.ids + q * k);
        rows.counts[q] = count;
    }
}

RangeOutput merge_range(const RangeOutput& a, const RangeOutput& b,
                        std::optional<int64_t> max_results) {
    const auto row = [](const RangeOutput& rows, size_t q) {
        const auto begin = static_cast<size_t>(rows.lims[q]);
        return Row{rows.distances.data() + begin, rows.ids.data() + begin,
                   rows.lims[q + 1] - rows.lims[q]};
    };
    RangeOutput out;
    out.lims.reserve(a.lims.size());
    out.lims.push_back(0);
    out.distances.resize(a.distances.size() + b.distances.size());
    out.ids.resize(out.distances.size());
    for (size_t q = 0; q + 1 < a.lims.size(); ++q) {
        const auto begin = static_cast<size_t>(out.lims.back());
        const Row of_a = row(a, q);
        const Row of_b = row(b, q);
        const int64_t most = max_results.value_or(of_a.count + of_b.count);
        out.lims.push_back(out.lims.back() + merge_rows(of_a, of_b, most,
                                                        out.distances.data() + begin,
                                                        out.ids.data() + begin));
    }
    out.distances.resize(static_cast<size_t>(out.lims.back()));
    out.ids.resize(static_cast<size_t>(out.lims.back()));
    return out;
}

}  // namespace hashcore
