// What real codes say about a multi-index hash of them.
#pragma once
#include <cstdint>
#include <optional>

#include "cpu/tiles.h"
#include "hashcore/mih.h"
#include "hashcore/runtime.h"
#include "mih/plan.h"

namespace hashcore {

/// Throws std::invalid_argument for parameters that no codes of `bits` bits can meet.
void check_mih_params(int64_t bits, const MihParams& params);

/// The plan for these codes. Where `params` names no radius, searches are expected to end where the
/// tenth neighbour of some of the codes lies. `monitor` is only asked whether to stop.
/// Throws std::invalid_argument for parameters that cannot be met.
MihPlan choose_plan(const CodeSource& codes, const MihParams& params, int threads,
                    Monitor* monitor);

/// That plan if such searches are expected to be clearly faster than a scan, one query at a time.
/// Where `params` names no budget, the tables may take half_of_memory().
std::optional<MihPlan> choose_plan_if_faster(const CodeSource& codes, const MihParams& params,
                                             int threads, Monitor* monitor);

/// Half of the machine's memory, in bytes.
int64_t half_of_memory();

}  // namespace hashcore
