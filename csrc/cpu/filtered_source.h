#pragma once
#include <cstdint>

#include "cpu/allowed.h"
#include "cpu/tiles.h"

namespace hashcore {

/// A tile to scan. With `allowed`, only the codes whose bit is set may become hits.
struct Tile {
    const uint64_t* blocks;
    int64_t count;
    const uint8_t* allowed;  ///< a byte a block, or null when all are
};

/// What a scan runs over when a filter forbids some codes. Either every code keeps its position and
/// tiles carry masks, or the allowed codes are gathered: then position p is the p-th of them, and a
/// scan never meets another.
class FilteredSource {
 public:
    /// Gathers where that is cheaper for `query_count` queries; `allowed` may be null.
    FilteredSource(const CodeSource& source, const AllowedCodes* allowed, int64_t query_count);

    /// Gathers always; `allowed` may be null.
    static FilteredSource gathered(const CodeSource& source, const AllowedCodes* allowed) {
        return {source, allowed, allowed != nullptr};
    }

    int64_t count() const { return gathers_ ? allowed_->total() : source_.count(); }
    int64_t bits() const { return source_.bits(); }
    int64_t words() const { return source_.words(); }
    int64_t tile_codes() const { return source_.tile_codes(); }
    bool can_be_sliced() const { return source_.can_be_sliced(); }

    /// Positions in [begin, begin + count) that may be hits; `begin` as for tile().
    int64_t allowed_in(int64_t begin, int64_t count) const {
        return allowed_ == nullptr || gathers_ ? count : allowed_->count_in(begin, count);
    }

    /// Positions [begin, begin + count), or none of them if none is allowed; `begin` is a multiple
    /// of codes_per_block. `scratch` may hold the result.
    Tile tile(int64_t begin, int64_t count, WordBuffer& scratch) const;

    /// The code at a position of this source. Codes ascend with positions.
    int64_t code_at(int64_t position) const {
        return gathers_ ? allowed_->code_of_rank(position) : position;
    }

 private:
    FilteredSource(const CodeSource& source, const AllowedCodes* allowed, bool gathers)
        : source_(source), allowed_(allowed), gathers_(gathers) {}

    CodeSource source_;
    const AllowedCodes* allowed_;
    bool gathers_;
};

}  // namespace hashcore
