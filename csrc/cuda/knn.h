// The searches on a device. Host code may include this without CUDA.
#pragma once
#include <cstdint>
#include <vector>

#include "cuda/scan_choice.h"
#include "cuda/selection_steps.h"
#include "cuda/tiles.h"

namespace hashcore::cuda {

/// A pass of queries over all of the tiles; says which scan made it.
Scan run_pass(SearchPass pass, const Stream& stream);

/// The k nearest codes of a batch of queries. Nothing waits.
class Knn {
 public:
    /// Among `codes` codes in all, out to `max_distance`, inclusive.
    Knn(const QueryRows& queries, int64_t k, int64_t max_distance, int64_t codes,
        const Stream& stream);

    /// Searches some of the codes. `allowed` as of TileView.
    void add(Tiles& tiles, const uint32_t* allowed);
    /// Writes what was found; `id_of` as of KnnRows.
    void finish(int32_t* distances, int64_t* ids, int64_t* counts, const int64_t* id_of);
    Scan scan() const { return scan_; }

    /// Memory of the device that a query of a batch takes, in bytes.
    static int64_t bytes_per_query(int64_t k, int64_t codes, int64_t bits);

 private:
    void search_exactly(SearchPass pass);

    const QueryRows& queries_;
    Stream stream_;
    int64_t asked_;  // k
    int64_t codes_;
    KnnPlan plan_;
    uint64_t ceiling_;
    KnnState state_{};
    DeviceMemory memory_;
    Scan scan_ = Scan::popc;
};

/// All codes within a radius: count() and then collect() see the same codes.
class RangeSearch {
 public:
    RangeSearch(const QueryRows& queries, int64_t radius, const Stream& stream);

    void count(Tiles& tiles, const uint32_t* allowed);
    /// [Q] hits of each query. Waits.
    std::vector<int64_t> counts() const;

    /// Makes room for the rows of queries [first, end).
    void begin(int64_t first, int64_t end);
    void collect(Tiles& tiles, const uint32_t* allowed);
    /// Writes those rows one behind the other.
    void finish(int32_t* distances, int64_t* ids, const int64_t* id_of);
    Scan scan() const { return scan_; }

    static constexpr int64_t bytes_per_hit = 2 * sizeof(uint64_t);

 private:
    void run(Tiles& tiles, const uint32_t* allowed, const QueryView& queries, const HitRows& hits);

    const QueryRows& queries_;
    Stream stream_;
    DeviceMemory limits_, counts_, no_rows_;
    std::vector<int64_t> lengths_;
    int64_t first_ = 0;
    SortedRows rows_{};
    DeviceMemory memory_;
    Scan scan_ = Scan::popc;
};

/// Labels of codes and queries on the device: bit sets [., words], or with words 0 one class each.
struct SearchLabels {
    const uint64_t* codes;
    const uint64_t* queries;
    int64_t words;
};

/// Adds to `counts` [Q, bits + 1] how many codes lie at each distance; with labels to
/// [Q, bits + 1, 2], irrelevant ones first.
void add_histogram(const QueryRows& queries, Tiles& tiles, const uint32_t* allowed,
                   const SearchLabels* labels, int64_t* counts, const Stream& stream);

}  // namespace hashcore::cuda
