#pragma once
#include <algorithm>
#include <cstdint>

#include "cpu/filtered_source.h"

namespace hashcore {

/// How a pass of Q queries over N codes is cut into tasks: query groups times code ranges, so that
/// one query can use every thread and many queries share each tile.
struct ScanPlan {
    int64_t query_count;
    int64_t code_count;
    int64_t group_size;  ///< queries a task
    int64_t groups;
    int64_t range_size;  ///< codes a task, a multiple of the source's tile
    int64_t ranges;

    int64_t tasks() const { return groups * ranges; }

    struct Task {
        int64_t group, range;
        int64_t first_query, queries;
        int64_t first_code, codes;
    };
    Task task(int64_t index) const {
        const int64_t group = index / ranges;
        const int64_t range = index % ranges;
        const int64_t first_query = group * group_size;
        const int64_t first_code = range * range_size;
        return {group,       range,
                first_query, std::min(group_size, query_count - first_query),
                first_code,  std::min(range_size, code_count - first_code)};
    }
};

/// Queries a task where there are enough of them: `most` bounds the state that it holds at once,
/// and below `least` rather the codes are cut.
struct GroupSize {
    int64_t least, most;
};

inline ScanPlan plan_scan(const FilteredSource& source, int64_t query_count, int threads,
                          GroupSize queries) {
    constexpr int64_t min_range_words = 1 << 15;
    const int64_t wanted_tasks = threads == 1 ? 1 : int64_t{2} * threads;
    const auto divide_up = [](int64_t a, int64_t b) { return (a + b - 1) / b; };

    const int64_t even = divide_up(query_count, wanted_tasks);
    const int64_t group =
        std::max<int64_t>(1, std::min(std::max(even, queries.least), queries.most));
    const int64_t groups = divide_up(query_count, group);

    const int64_t count = source.count();
    const int64_t most_ranges = std::max<int64_t>(1, count * source.words() / min_range_words);
    const int64_t ranges = groups == 0 ? 1 : std::min(most_ranges, divide_up(wanted_tasks, groups));
    const int64_t tile = source.tile_codes();
    const int64_t range = std::max(tile, divide_up(divide_up(count, ranges), tile) * tile);
    return {query_count, count, group,
            groups,      range, std::max<int64_t>(1, divide_up(count, range))};
}

}  // namespace hashcore
