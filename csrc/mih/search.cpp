#include "mih/search.h"

#include <algorithm>
#include <numeric>

#include "core/thread_pool.h"
#include "cpu/flat_scan.h"
#include "mih/bit_gather.h"
#include "mih/decode.h"
#include "mih/hit_selection.h"
#include "mih/walk.h"

namespace hashcore {
namespace {

/// Key masks over the words of a code.
std::vector<WordMask> word_masks(const std::vector<uint32_t>& bits) {
    std::vector<WordMask> masks;
    for (const uint32_t bit : bits) {
        const size_t word = bit / 64;
        const uint64_t mask = uint64_t{1} << place_in_word(bit);
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

const uint8_t* row_of(const SegmentQuery& query, int64_t q) {
    return query.queries.data + q * bytes_per_code(query.queries.bits);
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
    std::vector<int64_t> left(static_cast<size_t>(query.queries.count));
    std::iota(left.begin(), left.end(), int64_t{0});
    // A scan is the cheaper a query the more share it: those that few would share go on looking up.
    for (size_t walked = SIZE_MAX; !left.empty() && left.size() < walked / 2;) {
        walked = left.size();
        left = walk_all(query, left, request, emit);
    }
    counters_.queries += query.queries.count;
    counters_.scans += static_cast<int64_t>(left.size());
    if (left.empty()) return;
    const bool is_words = tables_.plan.entry == MihEntry::word;
    const int64_t bits = tables_.plan.bits;
    if (tables_.plan.entry == MihEntry::position) {
        scan(CodeSource::rows({tables_.rows, tables_.count, bits}), query, left, request, emit);
    } else if (query.allowed != nullptr || (left.size() == 1 && !is_words)) {
        for (const int64_t q : left) scan_entries(query, q, request, emit);
    } else {  // the codes are there, in another order
        Request reordered = request;
        reordered.positions = tables_.tables[0].positions;
        const auto* words = reinterpret_cast<const uint64_t*>(tables_.tables[0].entries);
        const EntryDecoder decoder(tables_);
        const CodeSource codes = is_words ? CodeSource::blocks(words, tables_.count, bits)
                                          : CodeSource::decoded(decoder, tables_.count, bits);
        scan(codes, query, left, reordered, emit);
    }
}

/// Looks keys up for some of the queries. Returns those for which a scan is cheaper, if they all
/// shared it.
std::vector<int64_t> MihSearcher::walk_all(const SegmentQuery& query,
                                           const std::vector<int64_t>& queries,
                                           const Request& request, const EmitHits& emit) const {
    const auto walks = static_cast<int64_t>(queries.size());
    const int threads = resolve_threads(query.threads);
    const double scan_cost = scan_nanoseconds(tables_.plan, tables_.count, walks);
    std::vector<uint8_t> done(queries.size());
    const int64_t group = std::clamp<int64_t>(walks / (4 * threads), 1, 64);
    parallel_for((walks + group - 1) / group, threads, query.monitor, [&](int64_t index) {
        MihWalk walk(*this, query.allowed, query.monitor);
        const int64_t end = std::min(walks, (index + 1) * group);
        for (auto i = static_cast<size_t>(index * group); i < static_cast<size_t>(end); ++i) {
            HitSelection hits(request);
            walk.begin(row_of(query, queries[i]));
            if (!walk.walk(scan_cost, hits)) continue;
            emit(queries[i], hits.sorted());
            done[i] = 1;
            if (query.monitor != nullptr) query.monitor->advance(tables_.count);
        }
        count(walk);
    });
    std::vector<int64_t> left;
    for (size_t i = 0; i < queries.size(); ++i)
        if (done[i] == 0) left.push_back(queries[i]);
    return left;
}

/// Scans for some of the queries together.
void MihSearcher::scan(const CodeSource& codes, const SegmentQuery& query,
                       const std::vector<int64_t>& queries, const Request& request,
                       const EmitHits& emit) const {
    const int64_t row_bytes = bytes_per_code(tables_.plan.bits);
    std::vector<uint8_t> rows;
    for (const int64_t q : queries) {
        const uint8_t* row = row_of(query, q);
        rows.insert(rows.end(), row, row + row_bytes);
    }
    SegmentQuery left = query;
    left.queries = {rows.data(), static_cast<int64_t>(queries.size()), tables_.plan.bits};
    flat_hits(codes, left, request, [&](int64_t i, const std::vector<Hit>& hits) {
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
        walk.begin(row_of(query, q));
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
