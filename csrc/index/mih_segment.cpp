#include "index/mih_segment.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <utility>

#include "core/thread_pool.h"
#include "index/mih_sections.h"
#include "mih/decode.h"

namespace hashcore {
namespace {

constexpr int64_t entries_between_checks = 1 << 16;

/// Calls visit(first, last) over ranges of entries on all threads.
template <class Visit>
void for_each_range(int64_t count, int threads, Monitor* monitor, const Visit& visit) {
    const int64_t tasks = (count + entries_between_checks - 1) / entries_between_checks;
    parallel_for(tasks, threads, monitor, [&](int64_t task) {
        const int64_t first = task * entries_between_checks;
        visit(first, std::min(count, first + entries_between_checks));
        if (monitor != nullptr) monitor->advance(0);
    });
}

}  // namespace

MihSegment::MihSegment(MihTables tables, bool mapped)
    : tables_(std::move(tables)),
      mapped_(mapped),
      plan_record_(record_plan(tables_.plan)),
      searcher_(tables_) {}

std::unique_ptr<MihSegment> MihSegment::load(const SectionLoader& loader) {
    return std::make_unique<MihSegment>(load_mih(loader), loader.maps());
}

int64_t MihSegment::bytes() const {
    return static_cast<int64_t>(tables_.plan.bytes(tables_.count));
}

void MihSegment::knn(const SegmentQuery& query, int64_t k, std::optional<int64_t> max_distance,
                     KnnOutput out) const {
    searcher_.knn(query, k, max_distance, out);
}

RangeOutput MihSegment::range_search(const SegmentQuery& query, int64_t radius,
                                     std::optional<int64_t> max_results) const {
    return searcher_.range_search(query, radius, max_results);
}

void MihSegment::read_codes(const int64_t* positions, int64_t count, uint8_t* rows) const {
    const int64_t row_bytes = bytes_per_code(bits());
    if (tables_.rows != nullptr) {
        for (int64_t i = 0; i < count; ++i)
            if (positions[i] >= 0)
                std::copy_n(tables_.rows + positions[i] * row_bytes, row_bytes,
                            rows + i * row_bytes);
        return;
    }
    std::vector<int64_t> order;
    for (int64_t i = 0; i < count; ++i)
        if (positions[i] >= 0) order.push_back(i);
    if (order.empty()) return;
    std::sort(order.begin(), order.end(),
              [&](int64_t a, int64_t b) { return positions[a] < positions[b]; });

    // A small map of the wanted positions' low bits sorts out nearly all others.
    const size_t map_bits = std::bit_ceil(std::clamp<size_t>(order.size() * 64, 1 << 16, 1 << 30));
    std::vector<uint64_t> map(map_bits / 64);
    for (const int64_t i : order) {
        const size_t bit = static_cast<size_t>(positions[i]) % map_bits;
        map[bit / 64] |= uint64_t{1} << (bit % 64);
    }
    const EntryDecoder codes(tables_);
    for_each_range(tables_.count, 0, nullptr, [&](int64_t first, int64_t last) {
        for (int64_t entry = first; entry < last; ++entry) {
            const uint32_t position = tables_.tables[0].positions[entry];
            const size_t bit = position % map_bits;
            if ((map[bit / 64] >> (bit % 64) & 1) == 0) continue;
            auto found = std::partition_point(order.begin(), order.end(), [&](int64_t i) {
                return positions[i] < static_cast<int64_t>(position);
            });
            uint64_t word = 0;
            codes.decode(entry, 1, &word);
            for (; found != order.end() && positions[*found] == position; ++found)
                std::memcpy(rows + *found * row_bytes, &word, static_cast<size_t>(row_bytes));
        }
    });
}

void MihSegment::read_all(uint8_t* rows, int threads, Monitor* monitor) const {
    const int64_t row_bytes = bytes_per_code(bits());
    if (tables_.rows != nullptr) {
        for_each_range(tables_.count, threads, monitor, [&](int64_t first, int64_t last) {
            std::copy(tables_.rows + first * row_bytes, tables_.rows + last * row_bytes,
                      rows + first * row_bytes);
        });
        return;
    }
    const EntryDecoder codes(tables_);
    for_each_range(tables_.count, threads, monitor, [&](int64_t first, int64_t last) {
        std::vector<uint64_t> words(static_cast<size_t>(last - first));
        codes.decode(first, last - first, words.data());
        for (int64_t entry = first; entry < last; ++entry)
            std::memcpy(rows + int64_t{tables_.tables[0].positions[entry]} * row_bytes,
                        &words[static_cast<size_t>(entry - first)], static_cast<size_t>(row_bytes));
    });
}

std::vector<SectionData> MihSegment::sections(uint32_t) const {
    return mih_sections(tables_, plan_record_);
}

MihParams MihSegment::mih_params() const {
    MihParams params;
    params.layout = tables_.plan.layout;  // not tables and radius, which fit the codes of now
    return params;
}

void MihSegment::add_stats(Stats& stats) const {
    const MihPlan& plan = tables_.plan;
    std::vector<int64_t> widths;
    for (int64_t table = 0; table < plan.tables(); ++table) widths.push_back(plan.key_width(table));
    const MihSearcher::Counters& counters = searcher_.counters();
    const bool compact = plan.layout == MihParams::Layout::compact;
    const MihCost expected = expected_cost(plan, tables_.count, plan.radius);
    stats.emplace_back("layout", std::string(compact ? "compact" : "fast"));
    stats.emplace_back("tables", plan.tables());
    stats.emplace_back("key_bits", widths);
    stats.emplace_back("expected_radius", plan.radius);
    stats.emplace_back("expected_lookups", static_cast<int64_t>(expected.lookups));
    stats.emplace_back("queries", counters.queries.load());
    stats.emplace_back("lookups", counters.lookups.load());
    stats.emplace_back("candidates", counters.candidates.load());
    stats.emplace_back("scans", counters.scans.load());
}

}  // namespace hashcore
