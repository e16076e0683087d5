// evaluate() and relevance_counts() against metrics read off the whole ranking.
#include <cmath>
#include <sstream>

#include "check.h"
#include "hashcore/metrics.h"
#include "reference.h"

namespace hashcore::test {
namespace {

const Cutoffs cutoffs{{1, 5, 50, 10'000}, {1, 5, 50, 10'000}, {1, 5, 50, 10'000}, 0.25};

/// Queries and items with codes and labels; a label is a class or a set of classes.
struct Case {
    Codes query_codes, item_codes;
    std::vector<uint32_t> query_ids, item_ids;
    Codes query_sets, item_sets;
    bool has_sets;

    LabelledCodes queries() const { return labelled(query_codes, query_ids, query_sets); }
    LabelledCodes items() const { return labelled(item_codes, item_ids, item_sets); }

    int64_t grade(int64_t query, int64_t item) const {
        if (!has_sets)
            return query_ids[static_cast<size_t>(query)] == item_ids[static_cast<size_t>(item)];
        int64_t shared = 0;
        for (int64_t byte = 0; byte < bytes_per_code(query_sets.bits()); ++byte)
            shared += std::popcount(
                static_cast<uint8_t>(query_sets.row(query)[byte] & item_sets.row(item)[byte]));
        return shared;
    }

 private:
    LabelledCodes labelled(const Codes& codes, const std::vector<uint32_t>& ids,
                           const Codes& sets) const {
        return {codes.view(), {has_sets ? nullptr : ids.data(), sets.view()}};
    }
};

Case draw_case(Rng& rng, int64_t bits, int64_t queries, int64_t items) {
    Codes centres(3, bits);
    for (int64_t i = 0; i < 3; ++i) randomize_row(centres, i, rng);
    const int64_t classes = draw(rng, 2, 70);
    Case test{clustered_codes(rng, centres, queries, 0),
              clustered_codes(rng, centres, items, 0),
              {},
              {},
              Codes(queries, classes),
              Codes(items, classes),
              draw(rng, 0, 1) == 0};
    for (auto& [count, ids, sets] : {std::tuple(queries, &test.query_ids, &test.query_sets),
                                     std::tuple(items, &test.item_ids, &test.item_sets)}) {
        for (int64_t i = 0; i < count; ++i) {
            ids->push_back(static_cast<uint32_t>(draw(rng, 0, classes - 1)));
            for (int64_t c = 0; c < classes; ++c)
                if (draw(rng, 0, 9) == 0) sets->flip(i, c);
        }
    }
    return test;
}

/// What a ranking of grades is worth; `grades` are best match first.
struct Ranked {
    std::vector<int64_t> grades;

    int64_t relevant() const {
        return std::count_if(grades.begin(), grades.end(), [](int64_t g) { return g > 0; });
    }
    /// Precision at each relevant position.
    std::vector<double> precisions(int64_t cutoff) const {
        std::vector<double> out;
        for (size_t i = 0; i < grades.size() && static_cast<int64_t>(i) < cutoff; ++i)
            if (grades[i] > 0)
                out.push_back(static_cast<double>(out.size() + 1) / static_cast<double>(i + 1));
        return out;
    }
    double dcg(int64_t cutoff) const {
        double sum = 0;
        for (size_t i = 0; i < grades.size() && static_cast<int64_t>(i) < cutoff; ++i)
            sum += (std::exp2(grades[i]) - 1) / std::log2(static_cast<double>(i + 2));
        return sum;
    }
};

double sum(const std::vector<double>& values, size_t count) {
    double total = 0;
    for (size_t i = 0; i < std::min(count, values.size()); ++i) total += values[i];
    return total;
}
double ratio(double part, double whole) {
    return whole == 0 ? 0.0 : part / whole;
}
bool close(double a, double b) {
    return std::abs(a - b) <= 1e-12 * std::max(1.0, std::abs(b));
}

/// McSherry and Najork's expected average precision, position by position: the chance that it is
/// relevant, times the expected precision there.
double expected_average_precision(const std::vector<std::pair<int64_t, int64_t>>& blocks) {
    double total = 0, items_before = 0, hits_before = 0;
    for (const auto& [block_items, block_hits] : blocks) {
        const auto n = static_cast<double>(block_items), r = static_cast<double>(block_hits);
        for (double i = 1; i <= n; ++i) {
            const double others = n > 1 ? (i - 1) * (r - 1) / (n - 1) : 0.0;
            total += r / n * (hits_before + 1 + others) / (items_before + i);
        }
        items_before += n;
        hits_before += r;
    }
    return ratio(total, hits_before);
}

void check_by_id(const RankingMetrics& got, size_t query, const Ranked& ranked) {
    const auto relevant = static_cast<double>(ranked.relevant());
    const auto items = static_cast<int64_t>(ranked.grades.size());
    const std::vector<double> all = ranked.precisions(items);
    EXPECT(got.relevant[query] == ranked.relevant());
    EXPECT(close(got.ap_by_id[query], ratio(sum(all, all.size()), relevant)));
    Ranked ideal = ranked;
    std::sort(ideal.grades.rbegin(), ideal.grades.rend());
    for (size_t c = 0; c < cutoffs.map_at.size(); ++c) {
        const int64_t cutoff = cutoffs.map_at[c];
        const size_t cell = query * cutoffs.map_at.size() + c;
        const std::vector<double> inside = ranked.precisions(cutoff);
        const double inside_sum = sum(inside, inside.size());
        const int64_t kept = std::min(cutoff, ranked.relevant());
        EXPECT(close(got.map_at_a[cell], ratio(inside_sum, static_cast<double>(inside.size()))));
        EXPECT(close(got.map_at_b[cell],
                     ratio(sum(all, static_cast<size_t>(kept)), static_cast<double>(kept))));
        EXPECT(close(got.map_at_c[cell], ratio(inside_sum, static_cast<double>(kept))));
        EXPECT(
            close(got.precision_by_id[cell], ratio(static_cast<double>(inside.size()),
                                                   static_cast<double>(std::min(cutoff, items)))));
        EXPECT(close(got.ndcg_by_id[cell], relevant == 0 ? cutoffs.ndcg_no_relevant
                                                         : ranked.dcg(cutoff) / ideal.dcg(cutoff)));
    }
}

void check_values(const Case& test, const RankingMetrics& got,
                  const std::vector<int64_t>& got_counts) {
    const int64_t queries = test.query_codes.count(), items = test.item_codes.count();
    const int64_t buckets = test.query_codes.bits() + 1;
    const std::vector<int32_t> all = distances(test.query_codes, test.item_codes);
    std::vector<int64_t> counts(static_cast<size_t>(queries * buckets * 2));
    std::vector<int64_t> retrieved(static_cast<size_t>(buckets)), hits(retrieved.size());
    for (int64_t q = 0; q < queries; ++q) {
        Ranked ranked;
        int64_t* row = counts.data() + q * buckets * 2;
        for (const auto& [distance, item] : ranking(all.data() + q * items, items)) {
            ranked.grades.push_back(test.grade(q, item));
            ++row[2 * distance + (ranked.grades.back() > 0 ? 1 : 0)];
        }
        check_by_id(got, static_cast<size_t>(q), ranked);
        std::vector<std::pair<int64_t, int64_t>> blocks;
        int64_t items_within = 0, hits_within = 0;
        for (int64_t d = 0; d < buckets; ++d) {
            const int64_t block = row[2 * d] + row[2 * d + 1];
            if (block > 0) blocks.emplace_back(block, row[2 * d + 1]);
            retrieved[static_cast<size_t>(d)] += items_within += block;
            hits[static_cast<size_t>(d)] += hits_within += row[2 * d + 1];
        }
        EXPECT(close(got.ap_tie_aware[static_cast<size_t>(q)], expected_average_precision(blocks)));
    }
    EXPECT(got_counts == counts);
    EXPECT(got.retrieved == retrieved);
    EXPECT(got.hits == hits);
}

/// Every number of an evaluation, one after the other.
std::vector<double> flattened(const RankingMetrics& m) {
    std::vector<double> out;
    for (const auto* values :
         {&m.ap_tie_aware, &m.ap_by_id, &m.ap_chance, &m.map_at_a, &m.map_at_b, &m.map_at_c,
          &m.map_at_c_tie_aware, &m.precision_tie_aware, &m.precision_by_id, &m.ndcg_tie_aware,
          &m.ndcg_by_id, &m.macro_recall, &m.macro_precision})
        out.insert(out.end(), values->begin(), values->end());
    return out;
}

void run_case(uint64_t seed, int64_t bits, int64_t queries, int64_t items) {
    Rng rng(seed);
    const Case test = draw_case(rng, bits, queries, items);
    std::vector<double> first;
    for (const std::string& level : isa_levels()) {
        force_isa(level);
        SearchOptions options;
        options.threads = static_cast<int>(draw(rng, 1, 8));
        std::ostringstream text;
        text << "seed " << seed << ", " << bits << " bits, " << queries << " queries, " << items
             << " items, " << level << ", " << options.threads << " threads"
             << (test.has_sets ? ", sets" : "");
        current_case = text.str();
        const RankingMetrics metrics = evaluate(test.queries(), test.items(), cutoffs, options);
        std::vector<int64_t> counts(static_cast<size_t>(queries * (bits + 1) * 2), unwritten);
        relevance_counts(test.queries(), test.items(), options, counts.data());
        check_values(test, metrics, counts);
        if (first.empty()) first = flattened(metrics);
        EXPECT(flattened(metrics) == first);
    }
    force_isa("");
}

int run(const Budget& budget) {
    Deck<int64_t> widths({1, 7, 8, 63, 64, 65, 128, 255, 500, 1024}, 1);
    Deck<int64_t> query_counts({0, 1, 3, 33, 70}, 2);
    Deck<int64_t> item_counts({0, 1, 2, 7, 8, 9, 63, 65, 513, 1500}, 3);
    uint64_t cases = 0;
    while (cases < widths.size() || budget.left()) {
        const int64_t bits = widths.deal(), queries = query_counts.deal();
        run_case(++cases, bits, queries, item_counts.deal());
    }
    std::cout << cases << " cases at " << isa_levels().size() << " levels agree\n";
    return 0;
}

}  // namespace
}  // namespace hashcore::test

int main(int argc, char** argv) {
    return hashcore::test::run(hashcore::test::Budget(argc, argv));
}
