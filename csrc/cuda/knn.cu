#include <algorithm>
#include <cstdlib>

#include "cuda/knn.h"
#include "cuda/runtime.h"

namespace hashcore::cuda {
namespace {

/// HASHCORE_TEST_HITS, so that tests overflow the rows of hits; 0 is none.
int64_t forced_capacity() {
    const char* asked = std::getenv("HASHCORE_TEST_HITS");
    return asked == nullptr ? 0 : std::atoll(asked);
}

int64_t bins_of(int64_t bits) {
    return std::max(bits + 1, position_bins);
}

/// Cuts one piece of memory into arrays.
class Cutter {
 public:
    explicit Cutter(char* at) : at_(at) {}
    template <class T>
    void take(T*& array, int64_t count) {
        array = reinterpret_cast<T*>(at_ + used_);
        used_ += (count * static_cast<int64_t>(sizeof(T)) + 255) / 256 * 256;
    }
    int64_t used() const { return used_; }

 private:
    char* at_;  // null: only counts
    int64_t used_ = 0;
};

/// Lays out what a batch needs; how many bytes that is.
int64_t lay_out(KnnState& state, char* memory, int64_t queries, int64_t capacity, int64_t bits) {
    Cutter cutter(memory);
    int64_t* begin = nullptr;
    cutter.take(state.hits.keys, queries * capacity);
    cutter.take(state.hits.other, queries * capacity);
    cutter.take(begin, queries + 1);
    cutter.take(state.hits.counts, queries);
    cutter.take(state.limits, queries);
    cutter.take(state.kept, queries);
    cutter.take(state.bins.counts, queries * bins_of(bits));
    cutter.take(state.lows, queries);
    cutter.take(state.search_limits, queries);
    cutter.take(state.wanted, queries);
    cutter.take(state.found_limits, queries);
    state.hits.begin = begin;
    state.hits.rows = queries;
    state.hits.longest = capacity;
    return cutter.used();
}

int64_t found_of(int64_t k, int64_t codes) {
    return std::min(k, codes);
}

}  // namespace

Scan run_pass(SearchPass pass, const Stream& stream) {
    const Scan scan = scan_to_run({pass.queries.count, pass.tiles.bits, architecture(stream.device),
                                   pass.bins.counts == nullptr});
    if (scan == Scan::b1)
        scan_b1(pass, stream);
    else
        scan_popc(pass, stream);
    return scan;
}

int64_t Knn::bytes_per_query(int64_t k, int64_t codes, int64_t bits) {
    const int64_t found = found_of(k, codes);
    KnnState state;
    return lay_out(state, nullptr, 1, plan_knn(found, codes, forced_capacity()).capacity, bits);
}

Knn::Knn(const QueryRows& queries, int64_t k, int64_t max_distance, int64_t codes,
         const Stream& stream)
    : queries_(queries),
      stream_(stream),
      asked_(k),
      codes_(codes),
      plan_(plan_knn(found_of(k, codes), codes, forced_capacity())),
      ceiling_(hit_key(std::min(max_distance, queries.bits()) + 1, 0)) {
    const int64_t count = queries.view().count;
    state_.k = found_of(k, codes);
    const int64_t bytes = lay_out(state_, nullptr, count, plan_.capacity, queries.bits());
    memory_ = DeviceMemory(bytes, "hits", stream);
    (void)lay_out(state_, memory_.as<char>(), count, plan_.capacity, queries.bits());
    begin_rows(state_, stream);
}

void Knn::add(Tiles& tiles, const uint32_t* allowed) {
    if (state_.k == 0 || state_.hits.rows == 0 || tiles.view().codes == 0) return;
    tiles.begin_reading(stream_);
    SearchPass pass{tiles.view(),
                    0,
                    tiles_for(tiles.view().codes),
                    1,
                    queries_.view(),
                    state_.limits,
                    {state_.hits.keys, state_.hits.begin, state_.hits.counts},
                    {nullptr, nullptr, position_bits, queries_.bits() + 1}};
    pass.tiles.allowed = allowed;
    start_codes(state_, ceiling_, stream_);
    if (plan_.tile_step > 1 && pass.end_tile >= 2 * plan_.tile_step) {
        KeyBins& bins = state_.bins;
        bins = {bins.counts, nullptr, position_bits, queries_.bits() + 1};
        clear(bins.counts, state_.hits.rows * bins.bins * static_cast<int64_t>(sizeof(uint64_t)),
              stream_);
        SearchPass sample = pass;
        sample.tile_step = plan_.tile_step;
        sample.bins = bins;
        (void)run_pass(sample, stream_);
        seed_limits(state_, stream_);
    }
    scan_ = run_pass(pass, stream_);
    if (plan_.capacity < codes_) search_exactly(pass);
    sort_rows(state_.hits, stream_);
    keep_best(state_, stream_);
    tiles.end_reading(stream_);
}

void Knn::search_exactly(SearchPass pass) {
    find_overflow(state_, stream_);
    KeyBins& bins = state_.bins;
    const auto step = [&](int64_t count, int shift) {
        bins = {bins.counts, state_.lows, shift, count};
        clear_bins(state_, stream_);
        SearchPass counting = pass;
        counting.limits = state_.search_limits;
        counting.bins = bins;
        (void)run_pass(counting, stream_);
        narrow_limits(state_, shift, stream_);
    };
    step(queries_.bits() + 1, position_bits);
    for (int shift = first_position_shift(pass.tiles.first_position + pass.tiles.codes); shift >= 0;
         shift -= position_digit_bits)
        step(position_bins, shift);
    pass.limits = state_.found_limits;
    (void)run_pass(pass, stream_);
}

void Knn::finish(int32_t* distances, int64_t* ids, int64_t* counts, const int64_t* id_of) {
    if (state_.hits.rows == 0) return;
    write_best(state_, {distances, ids, counts, asked_, id_of, queries_.bits()}, stream_);
}

RangeSearch::RangeSearch(const QueryRows& queries, int64_t radius, const Stream& stream)
    : queries_(queries), stream_(stream) {
    const int64_t count = queries.view().count;
    const int64_t bytes = count * static_cast<int64_t>(sizeof(uint64_t));
    limits_ = DeviceMemory(bytes, "limits", stream);
    counts_ = DeviceMemory(bytes, "counts", stream);
    no_rows_ = DeviceMemory(bytes + static_cast<int64_t>(sizeof(uint64_t)), "rows", stream);
    fill(limits_.as<uint64_t>(), count, hit_key(std::min(radius, queries.bits()) + 1, 0), stream);
    clear(counts_.as<void>(), bytes, stream);
    clear(no_rows_.as<void>(), bytes + static_cast<int64_t>(sizeof(uint64_t)), stream);
}

void RangeSearch::run(Tiles& tiles, const uint32_t* allowed, const QueryView& queries,
                      const HitRows& hits) {
    if (queries.count == 0 || tiles.view().codes == 0) return;
    tiles.begin_reading(stream_);
    SearchPass pass{tiles.view(),
                    0,
                    tiles_for(tiles.view().codes),
                    1,
                    queries,
                    limits_.as<const uint64_t>(),
                    hits,
                    {nullptr, nullptr, position_bits, queries_.bits() + 1}};
    pass.tiles.allowed = allowed;
    scan_ = run_pass(pass, stream_);
    tiles.end_reading(stream_);
}

void RangeSearch::count(Tiles& tiles, const uint32_t* allowed) {
    run(tiles, allowed, queries_.view(),
        {nullptr, no_rows_.as<const int64_t>(), counts_.as<unsigned long long>()});
}

std::vector<int64_t> RangeSearch::counts() const {
    std::vector<int64_t> counts(static_cast<size_t>(queries_.view().count));
    copy_to_host(counts.data(), counts_.as<const void>(),
                 static_cast<int64_t>(counts.size() * sizeof(int64_t)), stream_);
    wait_for(stream_);
    return counts;
}

void RangeSearch::begin(int64_t first, int64_t end) {
    if (lengths_.empty()) lengths_ = counts();
    std::vector<int64_t> begin{0};
    rows_ = {};
    for (int64_t q = first; q < end; ++q) {
        const int64_t length = lengths_[static_cast<size_t>(q)];
        begin.push_back(begin.back() + length);
        rows_.longest = std::max(rows_.longest, length);
    }
    first_ = first;
    rows_.rows = end - first;
    int64_t* begin_there = nullptr;
    const auto lay_out_rows = [&](char* memory) {
        Cutter cutter(memory);
        cutter.take(rows_.keys, begin.back());
        cutter.take(rows_.other, begin.back());
        cutter.take(begin_there, rows_.rows + 1);
        cutter.take(rows_.counts, rows_.rows);
        return cutter.used();
    };
    memory_ = DeviceMemory();
    memory_ = DeviceMemory(lay_out_rows(nullptr), "hits", stream_);
    lay_out_rows(memory_.as<char>());
    rows_.begin = begin_there;
    copy_to_device(begin_there, begin.data(), static_cast<int64_t>(begin.size() * sizeof(int64_t)),
                   stream_);
    clear(rows_.counts, rows_.rows * static_cast<int64_t>(sizeof(uint64_t)), stream_);
}

void RangeSearch::collect(Tiles& tiles, const uint32_t* allowed) {
    QueryView queries = queries_.view();
    const int64_t row_bytes = chunks_per_code(queries_.bits()) * chunk_bytes(queries_.bits());
    queries.data += first_ * row_bytes;
    queries.count = rows_.rows;
    run(tiles, allowed, queries, {rows_.keys, rows_.begin, rows_.counts});
}

void RangeSearch::finish(int32_t* distances, int64_t* ids, const int64_t* id_of) {
    if (rows_.longest == 0) return;
    sort_rows(rows_, stream_);
    write_rows(rows_, id_of, distances, ids, stream_);
}

void add_histogram(const QueryRows& queries, Tiles& tiles, const uint32_t* allowed,
                   const SearchLabels* labels, int64_t* counts, const Stream& stream) {
    const int64_t count = queries.view().count;
    if (count == 0 || tiles.view().codes == 0) return;
    const DeviceMemory limits(count * static_cast<int64_t>(sizeof(uint64_t)), "limits", stream);
    fill(limits.as<uint64_t>(), count, no_limit, stream);
    tiles.begin_reading(stream);
    SearchPass pass{tiles.view(),
                    0,
                    tiles_for(tiles.view().codes),
                    1,
                    queries.view(),
                    limits.as<const uint64_t>(),
                    {nullptr, nullptr, nullptr},
                    {reinterpret_cast<unsigned long long*>(counts), nullptr, position_bits,
                     queries.bits() + 1}};
    pass.tiles.allowed = allowed;
    if (labels != nullptr) {
        pass.tiles.labels = labels->codes;
        pass.tiles.label_words = labels->words;
        pass.queries.labels = labels->queries;
    }
    (void)run_pass(pass, stream);
    tiles.end_reading(stream);
}

}  // namespace hashcore::cuda
