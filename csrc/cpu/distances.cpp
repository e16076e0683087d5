// pairwise() and distance_histogram(): every distance is wanted, so nothing is selected.
#include <mutex>
#include <optional>

#include "cpu/each_distance.h"
#include "hashcore/search.h"

namespace hashcore {
namespace {

constexpr GroupSize queries_per_task{32, 64};

}  // namespace

void pairwise(CodesView a, CodesView b, const SearchOptions& options, int32_t* out) {
    struct None {};
    const FilteredSource source(CodeSource::rows(b), nullptr, a.count);
    for_each_distance(
        source, a, plan_scan(source, a.count, resolve_threads(options.threads), queries_per_task),
        options, [](const ScanPlan::Task&) { return None{}; },
        [&](None, int64_t row, int64_t first, const uint32_t* distances, int64_t count) {
            std::transform(distances, distances + count, out + row * b.count + first,
                           [](uint32_t distance) { return static_cast<int32_t>(distance); });
        },
        [](const ScanPlan::Task&, None) {});
}

void distance_histogram(CodesView database, CodesView queries, const SearchOptions& options,
                        int64_t* out) {
    const int64_t buckets = database.bits + 1;
    std::fill_n(out, queries.count * buckets, int64_t{0});
    std::mutex out_mutex;
    struct Counts {
        int64_t first_query;
        std::vector<int64_t> rows;  // [task's queries, buckets]
    };
    std::optional<AllowedCodes> allowed;
    if (options.filter != nullptr)
        allowed.emplace(filter_bits(*options.filter, nullptr, database.count));
    const auto source =
        FilteredSource::gathered(CodeSource::rows(database), allowed ? &*allowed : nullptr);
    for_each_distance(
        source, queries,
        plan_scan(source, queries.count, resolve_threads(options.threads), queries_per_task),
        options,
        [&](const ScanPlan::Task& task) {
            return Counts{task.first_query,
                          std::vector<int64_t>(static_cast<size_t>(task.queries * buckets))};
        },
        [&](Counts& counts, int64_t query, int64_t, const uint32_t* distances, int64_t count) {
            int64_t* row = counts.rows.data() + (query - counts.first_query) * buckets;
            for (int64_t i = 0; i < count; ++i) ++row[distances[i]];
        },
        [&](const ScanPlan::Task& task, const Counts& counts) {
            const std::lock_guard lock(out_mutex);
            int64_t* rows = out + task.first_query * buckets;
            for (size_t i = 0; i < counts.rows.size(); ++i) rows[i] += counts.rows[i];
        });
}

}  // namespace hashcore
