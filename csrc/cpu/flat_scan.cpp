#include "cpu/flat_scan.h"

#include <algorithm>
#include <atomic>
#include <memory>

#include "core/thread_pool.h"
#include "cpu/scan_pass.h"

namespace hashcore {
namespace {

/// One search: a request, the codes it may return, and how its passes are merged.
class FlatSearch {
 public:
    FlatSearch(const CodeSource& source, const SegmentQuery& query)
        : query_(query),
          threads_(resolve_threads(query.threads)),
          source_(source, query.allowed, query.queries.count) {}

    void run(const Request& request, const EmitHits& emit) const;

 private:
    void settle(const Request& request, std::vector<Hit>& hits) const;
    ScanPlan plan(const Request& request) const {
        constexpr int64_t largest_group = 1024;
        constexpr int64_t state_bytes = int64_t{64} << 20;
        const int64_t bytes_a_query = request.keep_all ? 0 : 16 * request.k + 4 * request.bits + 4;
        const int64_t most =
            std::clamp<int64_t>(state_bytes / (bytes_a_query + 1), 1, largest_group);
        // Every range finds its own k hits, every group tabulates its own slices.
        const bool many_hits = !request.keep_all && request.k > source_.count() / 64;
        const int64_t least = many_hits ? 32 : 128;
        return plan_scan(source_, query_.queries.count, threads_, {least, most});
    }

    const SegmentQuery& query_;
    int threads_;
    FilteredSource source_;
};

/// Turns what the passes of a query found into its answer.
void FlatSearch::settle(const Request& request, std::vector<Hit>& hits) const {
    if (request.positions != nullptr) {
        for (Hit& hit : hits)
            hit = make_hit(hit_distance(hit), request.positions[hit_position(hit)]);
        std::sort(hits.begin(), hits.end());
    } else {
        sort_hits(hits, request.bits);
    }
    if (!request.keep_all) hits.resize(std::min(hits.size(), static_cast<size_t>(request.k)));
    if (request.positions != nullptr) return;
    for (Hit& hit : hits) {
        const int64_t code = source_.code_at(static_cast<int64_t>(hit_position(hit)));
        hit = make_hit(hit_distance(hit), static_cast<uint64_t>(code));
    }
}

void FlatSearch::run(const Request& request, const EmitHits& emit) const {
    const ScanPlan plan = this->plan(request);
    const std::vector<uint64_t> words = row_words(query_.queries);
    std::vector<std::unique_ptr<GroupCollectors>> passes(static_cast<size_t>(plan.tasks()));
    std::vector<std::atomic<int64_t>> ranges_left(static_cast<size_t>(plan.groups));
    for (auto& left : ranges_left) left.store(plan.ranges);

    parallel_for(plan.tasks(), threads_, query_.monitor, [&](int64_t index) {
        const ScanPlan::Task task = plan.task(index);
        auto collectors = std::make_unique<GroupCollectors>(request, task.queries);
        ScanPass(source_, task, words.data() + task.first_query * source_.words(), request,
                 query_.monitor, *collectors)
            .run();
        passes[static_cast<size_t>(index)] = std::move(collectors);
        if (ranges_left[static_cast<size_t>(task.group)].fetch_sub(1) != 1) return;

        // The group's last pass merges them all: ranges ascend, so positions still do.
        const auto first = static_cast<size_t>(task.group * plan.ranges);
        const auto last = first + static_cast<size_t>(plan.ranges);
        std::vector<Hit> hits;
        for (int64_t q = 0; q < task.queries; ++q) {
            hits.clear();
            for (size_t r = first; r < last; ++r) passes[r]->append_to(q, hits);
            settle(request, hits);
            emit(task.first_query + q, hits);
            if (query_.monitor != nullptr) query_.monitor->advance(0);
        }
        for (size_t r = first; r < last; ++r) passes[r].reset();
    });
}

/// Runs search(source, query) over packed rows, whose positions are their ids.
template <class Search>
void search_rows(CodesView database, CodesView queries, const SearchOptions& options,
                 const Search& search) {
    std::optional<AllowedCodes> allowed;
    if (options.filter != nullptr)
        allowed.emplace(filter_bits(*options.filter, nullptr, database.count));
    if (options.monitor != nullptr) options.monitor->begin(database.count * queries.count);
    search(CodeSource::rows(database), SegmentQuery{queries, allowed ? &*allowed : nullptr, nullptr,
                                                    options.threads, options.monitor});
    if (options.monitor != nullptr) options.monitor->finish();
}

}  // namespace

void flat_hits(const CodeSource& source, const SegmentQuery& query, const Request& request,
               const EmitHits& emit) {
    FlatSearch(source, query).run(request, emit);
}

void flat_knn(const CodeSource& source, const SegmentQuery& query, int64_t k,
              std::optional<int64_t> max_distance, KnnOutput out) {
    answer_knn(
        query, source.bits(), source.count(), k, max_distance,
        [&](const Request& request, const EmitHits& emit) {
            flat_hits(source, query, request, emit);
        },
        out);
}

RangeOutput flat_range_search(const CodeSource& source, const SegmentQuery& query, int64_t radius,
                              std::optional<int64_t> max_results) {
    return answer_range(query, source.bits(), source.count(), radius, max_results,
                        [&](const Request& request, const EmitHits& emit) {
                            flat_hits(source, query, request, emit);
                        });
}

void knn(CodesView database, CodesView queries, int64_t k, std::optional<int64_t> max_distance,
         const SearchOptions& options, KnnOutput out) {
    search_rows(database, queries, options,
                [&](const CodeSource& source, const SegmentQuery& query) {
                    flat_knn(source, query, k, max_distance, out);
                });
}

RangeOutput range_search(CodesView database, CodesView queries, int64_t radius,
                         std::optional<int64_t> max_results, const SearchOptions& options) {
    RangeOutput out;
    search_rows(database, queries, options,
                [&](const CodeSource& source, const SegmentQuery& query) {
                    out = flat_range_search(source, query, radius, max_results);
                });
    return out;
}

}  // namespace hashcore
