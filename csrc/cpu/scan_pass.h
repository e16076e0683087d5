#pragma once
#include <cstdint>
#include <vector>

#include "cpu/collectors.h"
#include "cpu/filtered_source.h"
#include "cpu/scan_plan.h"
#include "hashcore/runtime.h"

namespace hashcore {

/// One task of a search: its queries over its range of codes, into their collectors.
class ScanPass {
 public:
    /// `queries` [task.queries, words] are the task's own; `monitor` may be null.
    ScanPass(const FilteredSource& source, const ScanPlan::Task& task, const uint64_t* queries,
             const Request& request, Monitor* monitor, GroupCollectors& collectors);

    void run();

 private:
    void scan(const uint64_t* queries, int64_t query_count, Collector* collectors);
    std::vector<uint32_t> guess_limits();
    int64_t sample(int64_t runs, std::vector<uint32_t>& counts);

    const FilteredSource& source_;
    const ScanPlan::Task& task_;
    const uint64_t* queries_;
    const Request& request_;
    Monitor* monitor_;
    GroupCollectors& collectors_;
    int64_t words_;
    WordBuffer scratch_;
    std::vector<SlicedWord> sliced_queries_;
    WordBuffer sliced_scratch_;
};

}  // namespace hashcore
