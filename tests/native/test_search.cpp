// Every search of the engine against sorted scalar distances: at every instruction-set level, on
// rows and on indexes in memory, loaded and mapped.
#include <array>
#include <memory>
#include <numeric>
#include <optional>
#include <sstream>

#include "check.h"
#include "hashcore/index.h"
#include "reference.h"
#include "temporary_folder.h"

namespace hashcore::test {
namespace {

struct Shape {
    int64_t bits, codes, queries, k;
};

/// Deals shapes so that the first few hold every value of every dimension. One that would compare
/// more than `most_pairs` of codes, or more than twelve times as many words, gets fewer queries.
class Shapes {
 public:
    Shapes(uint64_t seed, int64_t most_pairs)
        : bits_(
              {1, 7, 8, 63, 64, 65, 100, 128, 191, 192, 255, 256, 500, 512, 777, 1000, 1024, 2048},
              seed),
          codes_({0, 1, 7, 8, 9, 63, 64, 65, 511, 512, 513, 1000, 5000, 20'011, 70'001}, seed + 1),
          queries_({0, 1, 2, 3, 31, 32, 33, 64, 100, 257}, seed + 2),
          k_({0, 1, 10, 300, all, all + 5}, seed + 3),
          most_pairs_(most_pairs) {}

    size_t fewest_cases() const { return bits_.size(); }

    Shape deal() {
        Shape shape{bits_.deal(), codes_.deal(), queries_.deal(), k_.deal()};
        if (shape.k >= all) shape.k += shape.codes - all;
        const int64_t codes = std::max<int64_t>(1, shape.codes);
        const int64_t most_words = 12 * most_pairs_ / words_per_code(shape.bits);
        shape.queries = std::min(shape.queries, 1 + std::min(most_pairs_, most_words) / codes);
        return shape;
    }

 private:
    static constexpr int64_t all = 1'000'000;  // stands for the number of codes
    Deck<int64_t> bits_, codes_, queries_, k_;
    int64_t most_pairs_;
};

/// Codes that can be searched; their ids ascend with their positions.
class Source {
 public:
    virtual ~Source() = default;
    virtual const char* name() const = 0;
    virtual const std::vector<int64_t>& ids() const = 0;
    virtual void knn(CodesView queries, int64_t k, int64_t max_distance,
                     const SearchOptions& options, KnnOutput out) const = 0;
    virtual RangeOutput range_search(CodesView queries, int64_t radius,
                                     std::optional<int64_t> max_results,
                                     const SearchOptions& options) const = 0;
};

class RowSource final : public Source {
 public:
    explicit RowSource(const Codes& codes)
        : codes_(codes), ids_(static_cast<size_t>(codes.count())) {
        std::iota(ids_.begin(), ids_.end(), 0);
    }
    const char* name() const override { return "rows"; }
    const std::vector<int64_t>& ids() const override { return ids_; }
    void knn(CodesView queries, int64_t k, int64_t max_distance, const SearchOptions& options,
             KnnOutput out) const override {
        hashcore::knn(codes_.view(), queries, k, max_distance, options, out);
    }
    RangeOutput range_search(CodesView queries, int64_t radius, std::optional<int64_t> max_results,
                             const SearchOptions& options) const override {
        return hashcore::range_search(codes_.view(), queries, radius, max_results, options);
    }

 private:
    const Codes& codes_;
    std::vector<int64_t> ids_;
};

class IndexSource final : public Source {
 public:
    IndexSource(const char* name, std::unique_ptr<Index> index)
        : name_(name), index_(std::move(index)), ids_(index_->all_ids()) {}
    const char* name() const override { return name_; }
    const std::vector<int64_t>& ids() const override { return ids_; }
    const Index& index() const { return *index_; }
    void knn(CodesView queries, int64_t k, int64_t max_distance, const SearchOptions& options,
             KnnOutput out) const override {
        index_->search(queries, k, max_distance, options, out);
    }
    RangeOutput range_search(CodesView queries, int64_t radius, std::optional<int64_t> max_results,
                             const SearchOptions& options) const override {
        return index_->range_search(queries, radius, max_results, options);
    }

 private:
    const char* name_;
    std::unique_ptr<Index> index_;
    std::vector<int64_t> ids_;
};

/// Removes codes and adds some of them again, adds strangers and removes them: what is there in the
/// end is what was there before.
void wear(Index& index, const Codes& codes, Rng& rng) {
    const std::vector<int64_t> ids = index.all_ids();
    std::vector<int64_t> rows(ids.size());
    std::iota(rows.begin(), rows.end(), 0);
    std::shuffle(rows.begin(), rows.end(), rng);
    rows.resize(static_cast<size_t>(draw(rng, 0, codes.count())));
    const auto count = static_cast<int64_t>(rows.size());
    Codes again(count, codes.bits());
    std::vector<int64_t> their_ids, added(rows.size());
    for (int64_t i = 0; i < count; ++i) {
        again.copy_row(i, codes, rows[static_cast<size_t>(i)]);
        their_ids.push_back(ids[static_cast<size_t>(rows[static_cast<size_t>(i)])]);
    }
    EXPECT(index.remove(their_ids.data(), count, nullptr) == count);
    EXPECT(index.remove(their_ids.data(), count, nullptr) == 0);
    EXPECT(index.size() == codes.count() - count);
    index.add(again.view(), nullptr, added.data(), nullptr);
    index.add(again.view(), their_ids.data(), added.data(), nullptr);
    EXPECT(added == their_ids);
    for (const int64_t id : index.all_ids())
        if (!std::binary_search(ids.begin(), ids.end(), id))
            EXPECT(index.remove(&id, 1, nullptr) == 1);
    if (draw(rng, 0, 3) == 0) index.compact(nullptr);
}

/// An index of `codes`, added in several parts: in order without ids, or shuffled with ids that
/// ascend with the rows.
std::unique_ptr<Index> fill_index(const Codes& codes, Rng& rng) {
    constexpr std::array<const char*, 3> kinds = {"flat", "auto", "mih"};
    MihParams params;
    if (draw(rng, 0, 1) == 0) params.layout = MihParams::Layout::compact;
    auto index = make_index(codes.bits(), kinds[static_cast<size_t>(draw(rng, 0, 2))], params, 0);
    const bool own_ids = draw(rng, 0, 1) == 0;
    std::vector<int64_t> order(static_cast<size_t>(codes.count())), ids(order.size());
    std::iota(order.begin(), order.end(), 0);
    int64_t id = 0;
    for (int64_t& slot : ids) slot = id += draw(rng, 1, 1000);
    if (own_ids && draw(rng, 0, 1) == 0) std::shuffle(order.begin(), order.end(), rng);

    for (int64_t begin = 0; begin < codes.count();) {
        const int64_t count = std::min(draw(rng, 1, codes.count()), codes.count() - begin);
        Codes part(count, codes.bits());
        std::vector<int64_t> part_ids, out_ids(static_cast<size_t>(count), unwritten);
        for (int64_t i = 0; i < count; ++i) {
            const int64_t row = order[static_cast<size_t>(begin + i)];
            part.copy_row(i, codes, row);
            part_ids.push_back(own_ids ? ids[static_cast<size_t>(row)] : row);
        }
        index->add(part.view(), own_ids ? part_ids.data() : nullptr, out_ids.data(), nullptr);
        EXPECT(out_ids == part_ids);
        begin += count;
    }
    if (draw(rng, 0, 1) == 0) wear(*index, codes, rng);
    EXPECT(index->size() == codes.count());
    return index;
}

/// What one search asks for, over positions; each source names them by its own ids.
struct Request {
    int64_t k;
    int64_t max_distance;
    std::optional<Filter::Kind> filter;
    std::vector<uint8_t> allowed;  ///< [codes]
};

Request draw_request(const Shape& shape, bool filtered, Rng& rng) {
    Request request{shape.k, draw(rng, 0, 2) == 0 ? draw(rng, 0, shape.bits + 2) : shape.bits,
                    std::nullopt,
                    std::vector<uint8_t>(static_cast<size_t>(shape.codes), uint8_t{1})};
    if (!filtered) return request;
    request.filter = std::array{Filter::Kind::allow, Filter::Kind::deny,
                                Filter::Kind::mask}[static_cast<size_t>(draw(rng, 0, 2))];
    const double share =
        std::array{0.0, 0.001, 0.05, 0.5, 0.95, 1.0}[static_cast<size_t>(draw(rng, 0, 5))];
    const auto run = static_cast<int64_t>(share * static_cast<double>(shape.codes));
    const int64_t begin = draw(rng, 0, shape.codes - run);
    const bool contiguous = draw(rng, 0, 1) == 0;
    for (int64_t i = 0; i < shape.codes; ++i)
        request.allowed[static_cast<size_t>(i)] =
            contiguous ? i >= begin && i < begin + run : std::bernoulli_distribution(share)(rng);
    return request;
}

/// The filter of a request in the words of one source.
class SourceFilter {
 public:
    SourceFilter(const Request& request, const Source& source, Rng& rng) {
        if (!request.filter) return;
        for (size_t i = 0; i < request.allowed.size(); ++i)
            if ((request.allowed[i] != 0) == (request.filter == Filter::Kind::allow))
                ids_.push_back(source.ids()[i]);
        ids_.insert(ids_.end(), {int64_t{1} << 62, int64_t{1} << 40});  // name nothing
        std::shuffle(ids_.begin(), ids_.end(), rng);
        const bool mask = request.filter == Filter::Kind::mask;
        filter_ = {*request.filter, ids_.data(), request.allowed.data(),
                   static_cast<int64_t>(mask ? request.allowed.size() : ids_.size())};
    }
    const Filter* get() const { return filter_ ? &*filter_ : nullptr; }

 private:
    std::vector<int64_t> ids_;
    std::optional<Filter> filter_;
};

enum class Layout {
    shuffled,
    periodic,  ///< near codes only where an even sample of the codes looks
};

/// Codes, queries and every distance between them.
struct Case {
    Case(const Shape& wanted, Layout layout, Rng& rng)
        : shape(wanted), centres(3, shape.bits), codes(0, shape.bits), queries(0, shape.bits) {
        for (int64_t i = 0; i < centres.count(); ++i) randomize_row(centres, i, rng);
        codes = clustered_codes(rng, centres, shape.codes, draw(rng, 0, 8));
        queries = clustered_codes(rng, centres, shape.queries, draw(rng, 0, 8));
        if (layout == Layout::periodic) make_periodic(rng);
        truth = distances(queries, codes);
    }
    void make_periodic(Rng& rng) {
        constexpr int64_t block = 8, sampled_blocks = 128;
        const int64_t period = shape.codes / (block * sampled_blocks);
        for (int64_t i = 0; i < shape.codes; ++i) {
            if (i / block % period == 0)
                codes.copy_row(i, centres, 0);
            else
                randomize_row(codes, i, rng);
        }
        for (int64_t q = 0; q < shape.queries; ++q) queries.copy_row(q, centres, 0);
    }
    const int32_t* row(int64_t query) const { return truth.data() + query * shape.codes; }

    Shape shape;
    Codes centres, codes, queries;
    std::vector<int32_t> truth;  ///< [queries, codes]
};

/// The hits of every query, without the bound of k.
std::vector<Ranking> expected_hits(const Case& test, const Request& request) {
    std::vector<Ranking> hits;
    for (int64_t q = 0; q < test.shape.queries; ++q) {
        Ranking all = ranking(test.row(q), test.shape.codes);
        std::erase_if(all, [&](const auto& hit) {
            return hit.first > request.max_distance ||
                   request.allowed[static_cast<size_t>(hit.second)] == 0;
        });
        hits.push_back(std::move(all));
    }
    return hits;
}

void check_knn(const Case& test, const Request& request, const Source& source,
               const std::vector<Ranking>& hits, const SearchOptions& options) {
    const int64_t k = request.k;
    const auto queries = static_cast<size_t>(test.shape.queries);
    const size_t cells = queries * static_cast<size_t>(k);
    std::vector<int32_t> got_distances(cells, unwritten), distances;
    std::vector<int64_t> got_ids(cells, unwritten), ids;
    std::vector<int64_t> got_counts(queries, unwritten), counts;
    source.knn(test.queries.view(), k, request.max_distance, options,
               {got_distances.data(), got_ids.data(), got_counts.data()});
    for (size_t q = 0; q < queries; ++q) {
        const size_t found = std::min(hits[q].size(), static_cast<size_t>(k));
        for (size_t i = 0; i < found; ++i) {
            distances.push_back(hits[q][i].first);
            ids.push_back(source.ids()[static_cast<size_t>(hits[q][i].second)]);
        }
        counts.push_back(static_cast<int64_t>(found));
        distances.resize((q + 1) * static_cast<size_t>(k),
                         static_cast<int32_t>(test.shape.bits + 1));
        ids.resize((q + 1) * static_cast<size_t>(k), -1);
    }
    EXPECT(got_distances == distances);
    EXPECT(got_ids == ids);
    EXPECT(got_counts == counts);
}

void check_range(const Case& test, const Request& request, const Source& source,
                 const std::vector<Ranking>& hits, bool bounded, const SearchOptions& options) {
    const std::optional<int64_t> max_results =
        bounded ? std::optional<int64_t>(request.k) : std::nullopt;
    const RangeOutput got =
        source.range_search(test.queries.view(), request.max_distance, max_results, options);
    RangeOutput expected{{0}, {}, {}};
    for (const Ranking& row : hits) {
        const size_t found =
            bounded ? std::min(row.size(), static_cast<size_t>(request.k)) : row.size();
        for (size_t i = 0; i < found; ++i) {
            expected.distances.push_back(row[i].first);
            expected.ids.push_back(source.ids()[static_cast<size_t>(row[i].second)]);
        }
        expected.lims.push_back(static_cast<int64_t>(expected.ids.size()));
    }
    EXPECT(got.lims == expected.lims);
    EXPECT(got.distances == expected.distances);
    EXPECT(got.ids == expected.ids);
}

void check_every_distance(const Case& test, const Request& request, const SearchOptions& options) {
    SearchOptions unfiltered = options;
    unfiltered.filter = nullptr;
    std::vector<int32_t> got(test.truth.size(), unwritten);
    pairwise(test.queries.view(), test.codes.view(), unfiltered, got.data());
    EXPECT(got == test.truth);

    const int64_t buckets = test.shape.bits + 1;
    std::vector<int64_t> counts(static_cast<size_t>(test.shape.queries * buckets), unwritten);
    std::vector<int64_t> expected(counts.size());
    for (int64_t q = 0; q < test.shape.queries; ++q)
        for (int64_t i = 0; i < test.shape.codes; ++i)
            if (request.allowed[static_cast<size_t>(i)] != 0)
                ++expected[static_cast<size_t>(q * buckets + test.row(q)[i])];
    distance_histogram(test.codes.view(), test.queries.view(), options, counts.data());
    EXPECT(counts == expected);
}

void check_codes(const Index& index, const Codes& codes) {
    const std::vector<int64_t> ids = index.all_ids();
    Codes got(codes.count(), codes.bits());
    index.get(ids.data(), codes.count(), got.row(0));
    EXPECT(std::equal(got.row(0), got.row(codes.count()), codes.row(0)));
    EXPECT(ids.empty() || index.contains(ids.back()));
    EXPECT(!index.contains(ids.empty() ? 0 : ids.back() + 1));
}

void run_case(uint64_t seed, const Shape& shape, Layout layout, const TemporaryFolder& folder) {
    Rng rng(seed);
    std::ostringstream shape_text;
    shape_text << "seed " << seed << ", " << shape.bits << " bits, " << shape.codes << " codes, "
               << shape.queries << " queries, k " << shape.k;
    current_case = shape_text.str();
    const Case test(shape, layout, rng);

    std::vector<std::unique_ptr<Source>> sources;
    sources.push_back(std::make_unique<RowSource>(test.codes));
    auto built = std::make_unique<IndexSource>("index", fill_index(test.codes, rng));
    const std::string path = folder.path("codes.hci");
    built->index().save(path, nullptr);
    for (const bool map : {false, true}) {
        auto loaded = std::make_unique<IndexSource>(map ? "mapped" : "loaded",
                                                    load_index(path, map, true, 0, nullptr));
        EXPECT(loaded->index().mapped() == map);
        check_codes(loaded->index(), test.codes);
        sources.push_back(std::move(loaded));
    }
    sources.push_back(std::move(built));

    for (const bool filtered : {false, true}) {
        const Request request = draw_request(shape, filtered, rng);
        const std::vector<Ranking> hits = expected_hits(test, request);
        for (const std::string& level : isa_levels()) {
            force_isa(level);
            for (const auto& source : sources) {
                const SourceFilter filter(request, *source, rng);
                SearchOptions options;
                options.threads = static_cast<int>(draw(rng, 1, 8));
                options.filter = filter.get();
                std::ostringstream text;
                text << shape_text.str() << ", max_distance " << request.max_distance << ", "
                     << level << ", " << source->name() << ", " << options.threads << " threads"
                     << (filtered ? ", filtered" : "");
                current_case = text.str();
                check_knn(test, request, *source, hits, options);
                check_range(test, request, *source, hits, draw(rng, 0, 1) == 0, options);
                if (source == sources.front()) check_every_distance(test, request, options);
            }
        }
    }
    force_isa("");
}

int run(const Budget& budget) {
    const TemporaryFolder folder;
    Shapes shapes(1, std::min(budget.seconds(), 8) * (int64_t{1} << 18));
    for (const uint64_t seed : {1, 2, 3}) {
        run_case(seed, {64, 20'011, 3, 3'000}, Layout::periodic, folder);
        run_case(seed, {256, 17'000, 3, 1'100}, Layout::periodic, folder);
    }
    uint64_t cases = 0;
    while (cases < shapes.fewest_cases() || budget.left()) {
        const Shape shape = shapes.deal();
        run_case(++cases, shape, Layout::shuffled, folder);
    }
    std::cout << cases << " cases at " << isa_levels().size() << " levels agree\n";
    return 0;
}

}  // namespace
}  // namespace hashcore::test

int main(int argc, char** argv) {
    return hashcore::test::run(hashcore::test::Budget(argc, argv));
}
