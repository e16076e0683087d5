#include "cpu/flat_scan.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <memory>
#include <utility>

#include "core/thread_pool.h"
#include "cpu/dispatch.h"
#include "cpu/scan_plan.h"

namespace hashcore {
namespace {

/// What every query of one search asks for.
struct Request {
    uint32_t limit;  ///< take distance < limit
    int64_t k;       ///< keep the k best, or all when `keep_all`
    bool keep_all;
    int64_t bits;
};

constexpr int64_t initial_hits = 64;

/// Drops the hits that a fallen limit has overtaken. The order of the others stays.
void compact(Collector& collector) {
    uint64_t ties_left = collector.k - collector.below;
    size_t kept = 0;
    for (size_t i = 0; i < collector.size; ++i) {
        const uint32_t distance = hit_distance(collector.hits[i]);
        if (distance > collector.limit) continue;
        if (distance == collector.limit && ties_left-- == 0) {
            ties_left = 0;
            continue;
        }
        collector.hits[kept++] = collector.hits[i];
    }
    collector.size = kept;
}

void make_room(Collector* collector) {
    if (collector->histogram != nullptr) compact(*collector);
    if (collector->size + codes_per_block <= collector->capacity / 2) return;
    WordBuffer& storage = *static_cast<WordBuffer*>(collector->owner);
    WordBuffer larger(storage.size() * 2);
    std::copy_n(collector->hits, collector->size, larger.data());
    storage = std::move(larger);
    collector->hits = storage.data();
    collector->capacity = static_cast<size_t>(storage.size());
}

/// The collectors of one task.
class GroupScan {
 public:
    GroupScan(const Request& request, int64_t query_count)
        : storage_(static_cast<size_t>(query_count)),
          collectors_(static_cast<size_t>(query_count)) {
        const auto buckets = static_cast<size_t>(request.bits + 1);
        if (!request.keep_all) histograms_.resize(buckets * collectors_.size());
        for (size_t q = 0; q < collectors_.size(); ++q) {
            storage_[q] = WordBuffer(initial_hits);
            collectors_[q] = {request.limit,
                              static_cast<uint64_t>(request.k),
                              0,
                              request.keep_all ? nullptr : histograms_.data() + q * buckets,
                              storage_[q].data(),
                              0,
                              initial_hits,
                              make_room,
                              &storage_[q]};
        }
    }

    Collector* collectors() { return collectors_.data(); }

    /// Forgets the hits of a query and takes every distance below `limit`.
    void restart(int64_t query, uint32_t limit) {
        Collector& collector = collectors_[static_cast<size_t>(query)];
        collector.limit = limit;
        collector.below = 0;
        collector.size = 0;
    }

    void append_to(int64_t query, std::vector<Hit>& hits) const {
        const Collector& collector = collectors_[static_cast<size_t>(query)];
        hits.insert(hits.end(), collector.hits, collector.hits + collector.size);
    }

 private:
    std::vector<WordBuffer> storage_;
    std::vector<Collector> collectors_;
    std::vector<uint32_t> histograms_;
};

/// Sorts hits that ascend by position into ascending (distance, position).
void sort_hits(std::vector<Hit>& hits, int64_t bits) {
    constexpr size_t counting_sort_from = 512;
    if (hits.size() < std::max(counting_sort_from, static_cast<size_t>(bits) / 8)) {
        std::sort(hits.begin(), hits.end());
        return;
    }
    std::vector<size_t> next(static_cast<size_t>(bits) + 2);
    for (const Hit hit : hits) ++next[hit_distance(hit) + 1];
    for (size_t d = 1; d < next.size(); ++d) next[d] += next[d - 1];
    std::vector<Hit> sorted(hits.size());
    for (const Hit hit : hits) sorted[next[hit_distance(hit)]++] = hit;
    hits.swap(sorted);
}

/// One task's pass over its codes.
class ScanTask {
 public:
    ScanTask(const CodeSource& source, const ScanPlan::Task& task, const uint64_t* queries,
             const Request& request, Monitor* monitor, GroupScan& scan)
        : source_(source),
          task_(task),
          queries_(queries),
          request_(request),
          monitor_(monitor),
          scan_(scan),
          words_(static_cast<size_t>(source.words())) {}

    void run() {
        const std::vector<uint32_t> guesses = guess_limits();
        for (size_t q = 0; q < guesses.size(); ++q)
            scan_.restart(static_cast<int64_t>(q), guesses[q]);
        pass(0, task_.queries);
        for (size_t q = 0; q < guesses.size(); ++q) {
            // A guess that left too few hits was too low: every code counts after all.
            const Collector& collector = scan_.collectors()[q];
            const bool enough = collector.limit < guesses[q] || guesses[q] == request_.limit;
            if (enough) continue;
            scan_.restart(static_cast<int64_t>(q), request_.limit);
            pass(static_cast<int64_t>(q), 1);
        }
    }

 private:
    void pass(int64_t first_query, int64_t query_count) {
        constexpr int64_t pairs_between_checks = 1 << 20;
        const KernelTable& table = kernels();
        const int64_t step = source_.tile_codes();
        const int64_t end = task_.first_code + task_.codes;
        int64_t unreported = 0;
        for (int64_t begin = task_.first_code; begin < end; begin += step) {
            const int64_t count = std::min(step, end - begin);
            const uint64_t* blocks = source_.tile(begin, count, scratch_);
            table.scan(blocks, static_cast<size_t>(count), words_,
                       queries_ + first_query * source_.words(), static_cast<size_t>(query_count),
                       static_cast<uint64_t>(begin), scan_.collectors() + first_query);
            unreported += count * query_count;
            if (monitor_ != nullptr && unreported >= pairs_between_checks)
                monitor_->advance(std::exchange(unreported, 0));
        }
        if (monitor_ != nullptr) monitor_->advance(unreported);
    }

    /// A limit a query that a sample of the codes says will leave at least k hits; empty where
    /// starting from the request's limit is as cheap.
    std::vector<uint32_t> guess_limits() {
        constexpr int64_t sampled_blocks = 128;
        constexpr int64_t sample = sampled_blocks * static_cast<int64_t>(codes_per_block);
        const int64_t stride = task_.codes / sample * static_cast<int64_t>(codes_per_block);
        const bool worthwhile =
            !request_.keep_all && task_.codes >= 16 * sample && request_.k <= task_.codes / 4;
        if (!worthwhile) return {};

        const double expected =
            static_cast<double>(request_.k) * sample / static_cast<double>(task_.codes);
        const auto wanted = static_cast<uint32_t>(expected + 4.0 * std::sqrt(expected) + 4.0);
        std::vector<uint32_t> counts(static_cast<size_t>(task_.queries * (request_.bits + 1)));
        std::array<uint32_t, codes_per_block> distances;
        for (int64_t b = 0; b < sampled_blocks; ++b) {
            const uint64_t* block = source_.tile(task_.first_code + b * stride,
                                                 static_cast<int64_t>(codes_per_block), scratch_);
            for (int64_t q = 0; q < task_.queries; ++q) {
                kernels().distances(block, 1, words_, queries_ + q * source_.words(),
                                    distances.data());
                uint32_t* row = counts.data() + q * (request_.bits + 1);
                for (const uint32_t distance : distances) ++row[distance];
            }
        }
        std::vector<uint32_t> limits;
        for (int64_t q = 0; q < task_.queries; ++q) {
            const uint32_t* row = counts.data() + q * (request_.bits + 1);
            uint32_t limit = 0;
            for (uint32_t seen = 0; seen < wanted && limit < request_.limit; ++limit)
                seen += row[limit];
            limits.push_back(limit);
        }
        return limits;
    }

    const CodeSource& source_;
    const ScanPlan::Task& task_;
    const uint64_t* queries_;
    const Request& request_;
    Monitor* monitor_;
    GroupScan& scan_;
    size_t words_;
    WordBuffer scratch_;
};

/// Runs the whole search and hands each query's sorted hits to `emit(query, hits)`, from any
/// thread, each query once.
template <class Emit>
void search_all(const CodeSource& source, CodesView queries, const Request& request,
                const SearchOptions& options, const Emit& emit) {
    constexpr int64_t largest_group = 256;
    constexpr int64_t state_bytes = int64_t{64} << 20;
    const int64_t bytes_a_query = request.keep_all ? 0 : 16 * request.k + 4 * (request.bits + 1);
    const int64_t max_group =
        std::clamp<int64_t>(state_bytes / (bytes_a_query + 1), 1, largest_group);
    const int threads = resolve_threads(options.threads);
    const ScanPlan plan = plan_scan(source, queries.count, threads, max_group);
    const std::vector<uint64_t> words = row_words(queries);

    std::vector<std::unique_ptr<GroupScan>> scans(static_cast<size_t>(plan.tasks()));
    std::vector<std::atomic<int64_t>> ranges_left(static_cast<size_t>(plan.groups));
    for (auto& left : ranges_left) left.store(plan.ranges);
    if (options.monitor != nullptr) options.monitor->begin(source.count() * queries.count);

    parallel_for(plan.tasks(), threads, options.monitor, [&](int64_t index) {
        const ScanPlan::Task task = plan.task(index);
        auto scan = std::make_unique<GroupScan>(request, task.queries);
        ScanTask(source, task, words.data() + task.first_query * source.words(), request,
                 options.monitor, *scan)
            .run();
        scans[static_cast<size_t>(index)] = std::move(scan);
        if (ranges_left[static_cast<size_t>(task.group)].fetch_sub(1) != 1) return;

        const auto first = static_cast<size_t>(task.group * plan.ranges);
        const auto last = first + static_cast<size_t>(plan.ranges);
        std::vector<Hit> hits;
        for (int64_t q = 0; q < task.queries; ++q) {
            hits.clear();
            for (size_t r = first; r < last; ++r) scans[r]->append_to(q, hits);
            sort_hits(hits, request.bits);
            if (!request.keep_all)
                hits.resize(std::min(hits.size(), static_cast<size_t>(request.k)));
            emit(task.first_query + q, hits);
        }
        for (size_t r = first; r < last; ++r) scans[r].reset();
    });
}

uint32_t limit_for(int64_t max_distance, int64_t bits) {
    return static_cast<uint32_t>(std::min(max_distance, bits) + 1);
}

int64_t id_at(const int64_t* ids, Hit hit) {
    const auto position = static_cast<int64_t>(hit_position(hit));
    return ids == nullptr ? position : ids[position];
}

}  // namespace

void flat_knn(const CodeSource& source, const int64_t* ids, CodesView queries, int64_t k,
              std::optional<int64_t> max_distance, const SearchOptions& options, KnnOutput out) {
    const int64_t bits = source.bits();
    const int64_t found = std::min(k, source.count());
    const auto write_row = [&](int64_t query, const std::vector<Hit>& hits) {
        int32_t* distances = out.distances + query * k;
        int64_t* row_ids = out.ids + query * k;
        for (size_t i = 0; i < hits.size(); ++i) {
            distances[i] = static_cast<int32_t>(hit_distance(hits[i]));
            row_ids[i] = id_at(ids, hits[i]);
        }
        std::fill(distances + hits.size(), distances + k, static_cast<int32_t>(bits + 1));
        std::fill(row_ids + hits.size(), row_ids + k, int64_t{-1});
        out.counts[query] = static_cast<int64_t>(hits.size());
    };
    if (found == 0) {
        for (int64_t q = 0; q < queries.count; ++q) write_row(q, {});
        return;
    }
    const Request request{limit_for(max_distance.value_or(bits), bits), found, false, bits};
    search_all(source, queries, request, options, write_row);
}

RangeOutput flat_range_search(const CodeSource& source, const int64_t* ids, CodesView queries,
                              int64_t radius, std::optional<int64_t> max_results,
                              const SearchOptions& options) {
    const int64_t bits = source.bits();
    const bool keep_all = !max_results || *max_results >= source.count();
    const Request request{limit_for(radius, bits), max_results.value_or(0), keep_all, bits};
    std::vector<std::vector<Hit>> rows(static_cast<size_t>(queries.count));
    if (source.count() > 0 && (keep_all || request.k > 0))
        search_all(source, queries, request, options,
                   [&](int64_t query, const std::vector<Hit>& hits) {
                       rows[static_cast<size_t>(query)] = hits;
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
            out.ids.push_back(id_at(ids, hit));
        }
        std::vector<Hit>().swap(row);
    }
    return out;
}

void knn(CodesView database, CodesView queries, int64_t k, std::optional<int64_t> max_distance,
         const SearchOptions& options, KnnOutput out) {
    flat_knn(CodeSource::rows(database), nullptr, queries, k, max_distance, options, out);
}

RangeOutput range_search(CodesView database, CodesView queries, int64_t radius,
                         std::optional<int64_t> max_results, const SearchOptions& options) {
    return flat_range_search(CodeSource::rows(database), nullptr, queries, radius, max_results,
                             options);
}

}  // namespace hashcore
