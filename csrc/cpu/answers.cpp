#include "cpu/answers.h"

#include <algorithm>

namespace hashcore {
namespace {

uint32_t limit_for(int64_t max_distance, int64_t bits) {
    return static_cast<uint32_t>(std::min(max_distance, bits) + 1);
}

int64_t candidates(const SegmentQuery& query, int64_t codes) {
    return query.allowed == nullptr ? codes : query.allowed->total();
}

int64_t id_of(const SegmentQuery& query, Hit hit) {
    const auto position = static_cast<int64_t>(hit_position(hit));
    return query.ids == nullptr ? position : query.ids[position];
}

}  // namespace

void answer_knn(const SegmentQuery& query, int64_t bits, int64_t codes, int64_t k,
                std::optional<int64_t> max_distance, const FindHits& find, KnnOutput out) {
    const auto write_row = [&](int64_t row, const std::vector<Hit>& hits) {
        int32_t* distances = out.distances + row * k;
        int64_t* ids = out.ids + row * k;
        for (size_t i = 0; i < hits.size(); ++i) {
            distances[i] = static_cast<int32_t>(hit_distance(hits[i]));
            ids[i] = id_of(query, hits[i]);
        }
        std::fill(distances + hits.size(), distances + k, static_cast<int32_t>(bits + 1));
        std::fill(ids + hits.size(), ids + k, int64_t{-1});
        out.counts[row] = static_cast<int64_t>(hits.size());
    };
    const int64_t most = std::min(k, candidates(query, codes));
    if (most == 0) {
        for (int64_t q = 0; q < query.queries.count; ++q) write_row(q, {});
        return;
    }
    find({limit_for(max_distance.value_or(bits), bits), most, false, bits}, write_row);
}

RangeOutput answer_range(const SegmentQuery& query, int64_t bits, int64_t codes, int64_t radius,
                         std::optional<int64_t> max_results, const FindHits& find) {
    const int64_t most = candidates(query, codes);
    const bool keep_all = !max_results || *max_results >= most;
    const Request request{limit_for(radius, bits), max_results.value_or(0), keep_all, bits};
    std::vector<std::vector<Hit>> rows(static_cast<size_t>(query.queries.count));
    if (most > 0 && (keep_all || request.k > 0))
        find(request, [&](int64_t row, const std::vector<Hit>& hits) {
            rows[static_cast<size_t>(row)] = hits;
        });

    RangeOutput out;
    out.lims.reserve(rows.size() + 1);
    out.lims.push_back(0);
    for (const auto& row : rows)
        out.lims.push_back(out.lims.back() + static_cast<int64_t>(row.size()));
    out.distances.reserve(static_cast<size_t>(out.lims.back()));
    out.ids.reserve(static_cast<size_t>(out.lims.back()));
    for (auto& row : rows) {
        for (const Hit hit : row) {
            out.distances.push_back(static_cast<int32_t>(hit_distance(hit)));
            out.ids.push_back(id_of(query, hit));
        }
        std::vector<Hit>().swap(row);
    }
    return out;
}

}  // namespace hashcore
