#pragma once
#include <cstdint>
#include <functional>

#include "hashcore/runtime.h"

namespace hashcore {

/// Runs body(task) for every task in [0, task_count) on up to `threads` threads, the caller among
/// them; `threads` 0 means num_threads(). Returns when all are done. The first exception of a body
/// stops the tasks not yet begun and is thrown here; a stop of `monitor` throws Cancelled.
///
/// Workers sleep between calls, never spin, and are made anew in a forked child.
void parallel_for(int64_t task_count, int threads, Monitor* monitor,
                  const std::function<void(int64_t)>& body);

/// Threads that a call asking for `threads` gets.
int resolve_threads(int threads);

}  // namespace hashcore
