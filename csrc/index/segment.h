#pragma once
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <vector>

#include "cpu/segment_query.h"
#include "cpu/tiles.h"
#include "hashcore/index.h"
#include "hashcore/mih.h"
#include "index/serialize.h"

namespace hashcore {

/// Codes in ascending id order: a code's position is its rank. Which ids they are and which of them
/// are removed is known outside. Codes that are there never change.
class Segment {
 public:
    virtual ~Segment() = default;

    virtual FileKind kind() const = 0;
    virtual int64_t bits() const = 0;
    virtual int64_t count() const = 0;
    virtual int64_t bytes() const = 0;  ///< heap and mapped
    virtual bool mapped() const = 0;    ///< reads straight from an index file

    /// The monitor of `query` counts pairs of a query and a code.
    virtual void knn(const SegmentQuery& query, int64_t k, std::optional<int64_t> max_distance,
                     KnnOutput out) const = 0;
    virtual RangeOutput range_search(const SegmentQuery& query, int64_t radius,
                                     std::optional<int64_t> max_results) const = 0;

    /// Writes the codes at `positions` [count], in any order, to `rows` [count, bytes_per_code].
    /// The row of a negative position is left as it is.
    virtual void read_codes(const int64_t* positions, int64_t count, uint8_t* rows) const = 0;

    /// Writes every code to `rows` [count(), bytes_per_code]. Only asks `monitor` whether to stop.
    virtual void read_all(uint8_t* rows, int threads, Monitor* monitor) const = 0;

    /// Codes as scans read them, where they are kept so.
    virtual std::optional<CodeSource> source() const { return std::nullopt; }

    /// Whether append() may be called.
    virtual bool can_append() const { return false; }

    /// Adds codes behind the present ones. On any error nothing has been added. `monitor` may be
    /// null; it is begun and finished here, as by every function that makes codes or segments.
    virtual void append(CodesView, Monitor*) {
        throw std::logic_error("codes cannot be appended to this segment");
    }

    /// What load_segment() needs; the sections read from this segment. `part` is 0 for the base of
    /// an index and 1 for its delta.
    virtual std::vector<SectionData> sections(uint32_t part) const = 0;

    /// What a segment that takes this one's place is built with, as far as a file tells.
    virtual MihParams mih_params() const { return {}; }

    /// What there is to say beyond count, bits and bytes.
    virtual void add_stats(Stats& stats) const = 0;
};

}  // namespace hashcore
