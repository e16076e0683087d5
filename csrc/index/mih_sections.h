// The sections of a multi-index hash in an index file.
#pragma once
#include <cstdint>
#include <vector>

#include "index/serialize.h"
#include "mih/tables.h"

namespace hashcore {

/// The plan as the file holds it.
std::vector<uint32_t> record_plan(const MihPlan& plan);

/// The sections of `count` codes cut by `plan`, in file order, without data.
std::vector<SectionData> mih_layout(const MihPlan& plan, int64_t count);

/// The same with the data of `tables` and of `record`, its plan.
std::vector<SectionData> mih_sections(const MihTables& tables, const std::vector<uint32_t>& record);

/// Takes the tables out of a file. With checksums, it also checks that the writer kept the rules.
MihTables load_mih(const SectionLoader& loader);

}  // namespace hashcore
