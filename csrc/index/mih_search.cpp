#include "index/mih_search.h"

#include <algorithm>

#include "core/thread_pool.h"
#include "cpu/flat_scan.h"
#include "index/hit_selection.h"
#include "index/mih_walk.h"

namespace hashcore {
namespace {

/// Key masks over the words of a code.
std::vector<WordMask> word_masks(const std::vector<uint32_t>& bits) {
    std::vector<WordMask> masks;
    for (const uint32_t bit : bits) {
        const size_t word = bit / 64;
        const uint64_t mask = uint64_t{1} << (bit / 8 % 8 * 8 + 7 - bit % 8);
        if (masks.empty() || masks.back().word != word) masks.push_back({word, 0});
        masks.back().mask |= mask;
    }
    return masks;
}

/// The key of one table in the rest that another one's entries hold.
std::vector<WordMask> rest_mask(const std::vector<uint32_t>& key,
                                const std::vector<uint32_t>& rest) {
    uint64_t mask = 0;
    for (size_t i = 0; i < rest.size(); ++i)
        if (std::binary_search(key.begin(), key.end(), rest[i])) mask |= uint64_t{1} << i;
    return {{0, mask}};
}

}  // namespace

MihSearcher::MihSearcher(const MihTables& tables) : tables_(tables) {
    const MihPlan& plan = tables.plan;
    for (const auto& key : plan.key_bits)
        for (int64_t in = 0; in < plan.tables(); ++in)
            key_masks_.push_back(plan.entry == MihEntry::rest ? rest_mask(key, plan.rest_bits(in))
                                                              : word_masks(key));
}

void MihSearcher::find(const SegmentQuery& query, const Request& request,
                       const EmitHits& emit) const {
    const std::vector<int64_t> left = walk_all(query, request, emit);
    counters_.queries += query.queries.count;
    counters_.scans += static_cast<int64_t>(left.size());
    if (tables_.rows != nullptr)
        scan_rows(query, left, request, emit);
    else
        for (const int64_t q : left) scan_entries(query, q, request, emit);
}

/// Looks keys up. Returns the queries for which a scan is cheaper.
std::vector<int64_t> MihSearcher::walk_all(const SegmentQuery& query, const Request& request,
                                           const EmitHits& emit) const {
    const CodesView& rows = query.queries;
    const int threads = resolve_threads(query.threads);
    std::vector<uint8_t> done(static_cast<size_t>(rows.count));
    const int64_t group = std::clamp<int64_t>(rows.count / (4 * threads), 1, 64);
    parallel_for((rows.count + group - 1) / group, threads, query.monitor, [&](int64_t index) {
        MihWalk walk(*this, query.allowed, query.monitor);
        for (int64_t q = index * group; q < std::min(rows.count, (index + 1) * group); ++q) {
            HitSelection hits(request);
            walk.begin(rows.data + q * bytes_per_code(rows.bits));
            if (!walk.walk(hits)) continue;
            emit(q, hits.sorted());
            done[static_cast<size_t>(q)] = 1;
            if (query.monitor != nullptr) query.monitor->advance(tables_.count);
        }
        count(walk);
    });
    std::vector<int64_t> left;
    for (int64_t q = 0; q < rows.count; ++q)
        if (done[static_cast<size_t>(q)] == 0) left.push_back(q);
    return left;
}

void MihSearcher::scan_rows(const SegmentQuery& query, const std::vector<int64_t>& queries,
                            const Request& request, const EmitHits& emit) const {
    if (queries.empty()) return;
    const int64_t row_bytes = bytes_per_code(tables_.plan.bits);
    std::vector<uint8_t> rows;
    for (const int64_t q : queries) {
        const uint8_t* row = query.queries.data + q * row_bytes;
        rows.insert(rows.end(), row, row + row_bytes);
    }
    SegmentQuery left = query;
    left.queries = {rows.data(), static_cast<int64_t>(queries.size()), tables_.plan.bits};
    flat_hits(CodeSource::rows({tables_.rows, tables_.count, tables_.plan.bits}), left, request,
              [&](int64_t i, const std::vector<Hit>& hits) {
                  emit(queries[static_cast<size_t>(i)], hits);
              });
}

/// Reads all entries of the first table for one query, on all threads.
void MihSearcher::scan_entries(const SegmentQuery& query, int64_t q, const Request& request,
                               const EmitHits& emit) const {
    const int threads = resolve_threads(query.threads);
    std::vector<HitSelection> parts(static_cast<size_t>(threads), HitSelection(request));
    parallel_for(threads, threads, query.monitor, [&](int64_t part) {
        MihWalk walk(*this, query.allowed, query.monitor);
        walk.begin(query.queries.data + q * bytes_per_code(query.queries.bits));
        walk.scan(tables_.count * part / threads, tables_.count * (part + 1) / threads,
                  parts[static_cast<size_t>(part)]);
        count(walk);
    });
    HitSelection hits(request);
    for (HitSelection& part : parts)
        for (const Hit hit : part.sorted()) hits.add(hit);
    emit(q, hits.sorted());
    if (query.monitor != nullptr) query.monitor->advance(tables_.count);
}

void MihSearcher::count(const MihWalk& walk) const {
    counters_.lookups += walk.work().lookups;
    counters_.candidates += walk.work().candidates;
}

void MihSearcher::knn(const SegmentQuery& query, int64_t k, std::optional<int64_t> max_distance,
                      KnnOutput out) const {
    answer_knn(
        query, tables_.plan.bits, tables_.count, k, max_distance,
        [&](const Request& request, const EmitHits& emit) { find(query, request, emit); }, out);
}

RangeOutput MihSearcher::range_search(const SegmentQuery& query, int64_t radius,
                                      std::optional<int64_t> max_results) const {
    return answer_range(
        query, tables_.plan.bits, tables_.count, radius, max_results,
        [&](const Request& request, const EmitHits& emit) { find(query, request, emit); });
}

}  // namespace hashcore
