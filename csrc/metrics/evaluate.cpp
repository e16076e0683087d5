#include <algorithm>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>

#include "core/thread_pool.h"
#include "metrics/query_batch.h"

namespace hashcore {
namespace {

constexpr uint32_t largest_graded = 1000;  // 2^r - 1 and its sums stay far below the largest double

/// Adds the groups' sums in group order, whichever order they come in.
class OrderedSum {
 public:
    explicit OrderedSum(int64_t bits) : total_(bits) {}

    void add(int64_t group, RadiusSums sums) {
        const std::lock_guard lock(mutex_);
        waiting_.emplace(group, std::move(sums));
        for (auto it = waiting_.begin(); it != waiting_.end() && it->first == next_; ++next_) {
            total_.add(it->second);
            it = waiting_.erase(it);
        }
    }

    RadiusSums take() { return std::move(total_); }

 private:
    std::mutex mutex_;
    std::map<int64_t, RadiusSums> waiting_;
    int64_t next_ = 0;
    RadiusSums total_;
};

/// Queries a task. It must not depend on the thread count: the sums by radius add up by group.
int64_t group_size(int64_t query_count, int64_t buckets, int64_t grades) {
    constexpr int64_t wanted_groups = 64;
    constexpr int64_t state_bytes = int64_t{16} << 20;
    const int64_t bytes_a_query = buckets * (grades + 2) * 8;
    const int64_t even = std::clamp<int64_t>(query_count / wanted_groups, 8, 64);
    return std::clamp<int64_t>(state_bytes / bytes_a_query, 1, even);
}

/// Runs body(group, first_query, query_count) over groups of queries.
template <class Body>
void for_each_group(const GradedPairs& pairs, const SearchOptions& options, int64_t passes,
                    const Body& body) {
    const int64_t queries = pairs.query_count();
    const int64_t size =
        group_size(queries, pairs.bits() + 1, int64_t{pairs.relevance().max_grade()} + 1);
    if (options.monitor != nullptr) options.monitor->begin(passes * pairs.code_count() * queries);
    parallel_for((queries + size - 1) / size, options.threads, options.monitor, [&](int64_t group) {
        const int64_t first = group * size;
        body(group, first, std::min(size, queries - first));
    });
    if (options.monitor != nullptr) options.monitor->finish();
}

RankingMetrics empty_metrics(int64_t query_count, const Cutoffs& cutoffs) {
    const auto queries = static_cast<size_t>(query_count);
    RankingMetrics out;
    out.relevant.resize(queries);
    for (auto* values : {&out.ap_tie_aware, &out.ap_by_id, &out.ap_chance}) values->resize(queries);
    for (auto* values : {&out.map_at_a, &out.map_at_b, &out.map_at_c, &out.map_at_c_tie_aware})
        values->resize(queries * cutoffs.map_at.size());
    for (auto* values : {&out.precision_tie_aware, &out.precision_by_id})
        values->resize(queries * cutoffs.precision_at.size());
    for (auto* values : {&out.ndcg_tie_aware, &out.ndcg_by_id})
        values->resize(queries * cutoffs.ndcg_at.size());
    return out;
}

}  // namespace

RankingMetrics evaluate(const LabelledCodes& queries, const LabelledCodes& database,
                        const Cutoffs& cutoffs, const SearchOptions& options) {
    const GradedPairs pairs(queries, database, !cutoffs.ndcg_at.empty());
    if (pairs.relevance().max_grade() > largest_graded)
        throw std::invalid_argument(
            "ndcg_at: expected items that share at most " + std::to_string(largest_graded) +
            " classes, for the gain is 2^r - 1; got sets larger than that.");
    const RankTables tables(pairs.code_count(), cutoffs, pairs.relevance().max_grade());
    RankingMetrics out = empty_metrics(pairs.query_count(), cutoffs);
    OrderedSum radii(pairs.bits());
    const Evaluation evaluation{pairs, tables, cutoffs, options.monitor, out};
    const int64_t passes = passes_over(pairs.code_count());
    for_each_group(pairs, options, passes, [&](int64_t group, int64_t first, int64_t count) {
        radii.add(group, evaluate_queries(evaluation, first, count));
    });

    RadiusSums sums = radii.take();
    const auto mean = static_cast<double>(std::max<int64_t>(1, pairs.query_count()));
    for (auto* values : {&sums.recall, &sums.precision})
        for (double& value : *values) value /= mean;
    out.retrieved = std::move(sums.retrieved);
    out.hits = std::move(sums.hits);
    out.macro_recall = std::move(sums.recall);
    out.macro_precision = std::move(sums.precision);
    return out;
}

void relevance_counts(const LabelledCodes& queries, const LabelledCodes& database,
                      const SearchOptions& options, int64_t* out) {
    const GradedPairs pairs(queries, database, false);
    const int64_t row = (pairs.bits() + 1) * 2;
    std::fill_n(out, pairs.query_count() * row, int64_t{0});
    for_each_group(pairs, options, 1, [&](int64_t, int64_t first, int64_t count) {
        pairs.visit(first, count, options.monitor, [&](int64_t query, const TilePairs& tile) {
            int64_t* counts = out + query * row;
            for (int64_t i = 0; i < tile.count; ++i) {
                const uint64_t relevant = tile.relevant[i / mask_items] >> i % mask_items & 1;
                ++counts[2 * tile.distances[i] + relevant];
            }
        });
    });
}

}  // namespace hashcore
