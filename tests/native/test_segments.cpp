// An index over a segment that neither grows nor keeps its codes as scans read them, as kinds other
// than flat may: random histories against a map.
#include <algorithm>
#include <iterator>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <utility>

#include "check.h"
#include "index/factory.h"
#include "index/flat_segment.h"
#include "index/stored_index.h"
#include "reference.h"

namespace hashcore::test {
namespace {

class OpaqueSegment final : public Segment {
 public:
    explicit OpaqueSegment(CodesView rows) : codes_(rows.bits) { codes_.append(rows, nullptr); }

    FileKind kind() const override { return codes_.kind(); }
    int64_t bits() const override { return codes_.bits(); }
    int64_t count() const override { return codes_.count(); }
    int64_t bytes() const override { return codes_.bytes(); }
    bool mapped() const override { return false; }
    void knn(const SegmentQuery& query, int64_t k, std::optional<int64_t> max_distance,
             KnnOutput out) const override {
        codes_.knn(query, k, max_distance, out);
    }
    RangeOutput range_search(const SegmentQuery& query, int64_t radius,
                             std::optional<int64_t> max_results) const override {
        return codes_.range_search(query, radius, max_results);
    }
    void read_codes(const int64_t* positions, int64_t count, uint8_t* rows) const override {
        codes_.read_codes(positions, count, rows);
    }
    void read_all(uint8_t* rows, int threads, Monitor* monitor) const override {
        codes_.read_all(rows, threads, monitor);
    }
    std::vector<SectionData> sections(uint32_t part) const override {
        return codes_.sections(part);
    }
    void add_stats(Stats&) const override {}

 private:
    FlatSegment codes_;
};

using Row = std::vector<uint8_t>;

/// Codes of `index` by id.
std::map<int64_t, Row> contents(const Index& index) {
    std::map<int64_t, Row> codes;
    for (const int64_t id : index.all_ids()) {
        Row row(static_cast<size_t>(bytes_per_code(index.bits())));
        index.get(&id, 1, row.data());
        codes.emplace(id, std::move(row));
    }
    return codes;
}

int64_t waiting(const Index& index) {
    int64_t codes = 0;
    for (const auto& [name, value] : index.stats())
        if (name == "removed" || name == "delta") codes += std::get<int64_t>(value);
    return codes;
}

void run_case(uint64_t seed) {
    Rng rng(seed);
    current_case = "seed " + std::to_string(seed);
    const int64_t bits = draw(rng, 1, 200);
    const int64_t count = draw(rng, 1, 300);
    const int64_t id_count = 2 * count + 10;
    std::vector<int64_t> ids(static_cast<size_t>(id_count));
    std::iota(ids.begin(), ids.end(), 0);
    std::map<int64_t, Row> truth;
    const auto draw_codes = [&](const std::vector<int64_t>& their_ids) {
        Codes codes(static_cast<int64_t>(their_ids.size()), bits);
        for (int64_t i = 0; i < codes.count(); ++i) {
            randomize_row(codes, i, rng);
            truth[their_ids[static_cast<size_t>(i)]] = Row(codes.row(i), codes.row(i + 1));
        }
        return codes;
    };

    std::vector<int64_t> first;
    std::sample(ids.begin(), ids.end(), std::back_inserter(first), count, rng);
    const Codes codes = draw_codes(first);
    StoredIndex index({"flat"}, std::make_unique<OpaqueSegment>(codes.view()), IdList(first));
    for (int64_t round = draw(rng, 0, 3); round > 0; --round) {
        std::vector<int64_t> chosen;
        std::sample(ids.begin(), ids.end(), std::back_inserter(chosen), draw(rng, 0, id_count),
                    rng);
        int64_t there = 0;
        for (const int64_t id : chosen) there += static_cast<int64_t>(truth.erase(id));
        const auto chosen_count = static_cast<int64_t>(chosen.size());
        EXPECT(index.remove(chosen.data(), chosen_count, nullptr) == there);
        EXPECT(contents(index) == truth);

        std::shuffle(chosen.begin(), chosen.end(), rng);
        chosen.resize(static_cast<size_t>(draw(rng, 0, chosen_count)));
        const Codes more = draw_codes(chosen);
        index.add(more.view(), chosen.data(), chosen.data(), nullptr);
        EXPECT(contents(index) == truth);
    }
    index.compact(nullptr);
    EXPECT(waiting(index) == 0);
    EXPECT(contents(index) == truth);
}

int run(const Budget& budget) {
    uint64_t cases = 0;
    while (cases < 50 || budget.left()) run_case(++cases);
    std::cout << cases << " histories agree\n";
    return 0;
}

}  // namespace
}  // namespace hashcore::test

int main(int argc, char** argv) {
    return hashcore::test::run(hashcore::test::Budget(argc, argv));
}
