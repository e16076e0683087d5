#pragma once
#include <cstdint>
#include <string>

#include "hashcore/codes.h"
#include "hashcore/runtime.h"
#include "mih/plan.h"

namespace hashcore {

/// Writes an index file of kind mih without holding it: codes are read again and again, and
/// `memory` bytes (at least those of one table's counters) hold a slice of a table at a time.
/// `ids` ascend, or are null. A killed build goes on when it is called again with the same codes
/// and plan.
void build_mih_file(const std::string& path, CodesView codes, const int64_t* ids, MihPlan plan,
                    int64_t memory, int threads, Monitor* monitor);

}  // namespace hashcore
