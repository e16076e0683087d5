// Every distance of a pass, tile by tile: for callers that count or store instead of selecting.
#pragma once
#include <algorithm>
#include <vector>

#include "core/thread_pool.h"
#include "cpu/dispatch.h"
#include "cpu/filtered_source.h"
#include "cpu/scan_plan.h"
#include "hashcore/search.h"

namespace hashcore {

/// Runs `plan` and calls visit(state, query, first_code, distances, count) for every query and
/// tile; inside a task, tiles ascend. With a filter, only the allowed codes of a tile are seen.
/// `distances` holds `count` values and is overwritten by the next call on the same thread.
/// begin(task) makes a task's state, end(task, state) takes it back.
template <class Begin, class Visit, class End>
void for_each_distance(const FilteredSource& source, CodesView queries, const ScanPlan& plan,
                       const SearchOptions& options, const Begin& begin_task, const Visit& visit,
                       const End& end_task) {
    const std::vector<uint64_t> words = row_words(queries);
    const KernelTable& table = kernels();
    if (options.monitor != nullptr) options.monitor->begin(source.count() * queries.count);
    parallel_for(plan.tasks(), options.threads, options.monitor, [&](int64_t index) {
        const ScanPlan::Task task = plan.task(index);
        const int64_t step = source.tile_codes();
        std::vector<uint32_t> distances(static_cast<size_t>(step));
        WordBuffer scratch;
        auto state = begin_task(task);
        const int64_t end = task.first_code + task.codes;
        for (int64_t first = task.first_code; first < end; first += step) {
            const int64_t count = std::min(step, end - first);
            const Tile tile = source.tile(first, count, scratch);
            for (int64_t q = task.first_query; q < task.first_query + task.queries; ++q) {
                table.distances(tile.blocks, static_cast<size_t>(blocks_for(tile.count)),
                                static_cast<size_t>(source.words()),
                                words.data() + q * source.words(), distances.data());
                visit(state, q, first, distances.data(), tile.count);
            }
            if (options.monitor != nullptr) options.monitor->advance(count * task.queries);
        }
        end_task(task, state);
    });
    if (options.monitor != nullptr) options.monitor->finish();
}

}  // namespace hashcore
