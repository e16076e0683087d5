#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "cpu/tiles.h"
#include "hashcore/codes.h"
#include "hashcore/mih.h"
#include "index/segment.h"
#include "mih/plan.h"

namespace hashcore {

/// How an index keeps its base, as its maker asked for it.
struct SegmentOptions {
    std::string kind;  ///< "flat", "mih" or "auto"
    int threads = 0;   ///< 0: num_threads()
    MihParams mih = {};
};

/// The hash tables that make_segment() builds of such codes, or none where it makes a flat segment.
/// Throws std::invalid_argument for an unknown kind. `monitor` is only asked whether to stop.
std::optional<MihPlan> plan_tables(const SegmentOptions& options, const CodeSource& codes,
                                   Monitor* monitor);

/// A segment of `rows`, which are in ascending id order. `monitor` may be null; it is begun and
/// finished here.
std::unique_ptr<Segment> make_segment(const SegmentOptions& options, CodesView rows,
                                      Monitor* monitor);

/// The base of a file: what its sections() wrote as part 0.
std::unique_ptr<Segment> load_segment(const SectionLoader& loader);

/// The name of a kind: what Index::kind() says, and an option that makes it.
const char* kind_name(FileKind kind);

}  // namespace hashcore
