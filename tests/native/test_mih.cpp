// The tables of a multi-index hash: how they are planned, that their bytes are those of a stable
// sort however they are cut and threaded, and that searches of them find what a scan finds.
#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "check.h"
#include "hashcore/index.h"
#include "mih/build.h"
#include "mih/plan.h"
#include "reference.h"

namespace hashcore::test {
namespace {

using Layout = MihParams::Layout;

Codes uniform_codes(Rng& rng, int64_t count, int64_t bits) {
    Codes codes(count, bits);
    for (int64_t i = 0; i < count; ++i) randomize_row(codes, i, rng);
    return codes;
}

bool bit_of(const uint8_t* row, int64_t bit) {
    return (row[bit / 8] & (0x80 >> (bit % 8))) != 0;
}

int64_t total_width(const MihPlan& plan) {
    int64_t sum = 0;
    for (int64_t table = 0; table < plan.tables(); ++table) sum += plan.key_width(table);
    return sum;
}

void expect_valid(const MihPlan& plan, int64_t bits, int64_t count, int64_t radius,
                  const MihParams& params) {
    EXPECT(plan.bits == bits && plan.layout == params.layout && plan.radius == radius);
    const MihEntry narrow = params.layout == Layout::fast ? MihEntry::word : MihEntry::rest;
    EXPECT(plan.entry == (bits > 64 ? MihEntry::position : narrow));
    EXPECT(plan.tables() >= 1 && plan.tables() <= std::min(bits, max_mih_tables));
    EXPECT(!params.tables || plan.tables() == *params.tables);
    EXPECT(!params.memory_budget ||
           plan.bytes(count) <= static_cast<double>(*params.memory_budget));
    std::vector<bool> taken(static_cast<size_t>(bits));
    int64_t widest = 0, narrowest = max_key_bits;
    for (int64_t table = 0; table < plan.tables(); ++table) {
        const std::vector<uint32_t>& key = plan.key_bits[static_cast<size_t>(table)];
        widest = std::max(widest, plan.key_width(table));
        narrowest = std::min(narrowest, plan.key_width(table));
        for (size_t i = 0; i < key.size(); ++i) {
            EXPECT(key[i] < bits && (i == 0 || key[i - 1] < key[i]) && !taken[key[i]]);
            taken[key[i]] = true;
        }
        std::vector<uint32_t> all(key);
        const std::vector<uint32_t> rest = plan.rest_bits(table);
        all.insert(all.end(), rest.begin(), rest.end());
        std::sort(all.begin(), all.end());
        EXPECT(static_cast<int64_t>(all.size()) == bits);
        EXPECT(std::adjacent_find(all.begin(), all.end()) == all.end() && all.back() == bits - 1);
        EXPECT(plan.entry != MihEntry::rest ||
               8 * plan.entry_bytes(table) >= static_cast<int64_t>(rest.size()));
    }
    EXPECT(narrowest >= 1 && widest <= max_key_bits && widest - narrowest <= 1);
}

/// The number that a budget of one byte is told to be at least.
int64_t least_budget(int64_t bits, int64_t count, MihParams params) {
    params.memory_budget = 1;
    try {
        plan_mih(bits, count, 0, {nullptr, 0, bits}, params);
    } catch (const std::invalid_argument& error) {
        const std::string text = error.what(), before = "take at least ";
        EXPECT(text.starts_with("memory_budget: ") &&
               text.ends_with("got 1. Use layout='compact', "
                              "fewer tables or kind='flat'."));
        return std::stoll(text.substr(text.find(before) + before.size()));
    }
    fail(__FILE__, __LINE__, "a budget of one byte is kept");
}

void check_plan(uint64_t seed) {
    Rng rng(seed);
    constexpr std::array<int64_t, 8> counts = {0,    1,       7,          300,
                                               5000, 100'000, 10'000'000, 1'000'000'000};
    const int64_t bits = seed % 4 == 0 ? draw(rng, 65, 3000) : draw(rng, 1, 130);
    const int64_t count = counts[static_cast<size_t>(draw(rng, 0, 7))];
    const int64_t radius = draw(rng, 0, bits);
    MihParams params;
    params.layout = draw(rng, 0, 1) == 0 ? Layout::fast : Layout::compact;
    if (draw(rng, 0, 1) == 0) params.tables = draw(rng, 1, std::min(bits, max_mih_tables));
    current_case = "plan, seed " + std::to_string(seed);
    const Codes sample = uniform_codes(rng, draw(rng, 0, 1) * 300, bits);
    const MihPlan free = plan_mih(bits, count, radius, sample.view(), params);
    expect_valid(free, bits, count, radius, params);
    if (params.layout == Layout::compact && !params.tables)
        EXPECT(free.bytes(count) <= compact_bytes(bits, count));

    const int64_t least = least_budget(bits, count, params);
    for (const int64_t budget : {least, least + 1, draw(rng, least, 2 * least)}) {
        params.memory_budget = budget;
        expect_valid(plan_mih(bits, count, radius, sample.view(), params), bits, count, radius,
                     params);
    }
    params.memory_budget = least - 1;
    try {
        plan_mih(bits, count, radius, sample.view(), params);
        fail(__FILE__, __LINE__, "a budget below the least is kept");
    } catch (const std::invalid_argument&) {
    }
}

/// Constant bits are in keys only where no other bits are left.
void check_constant_bits(uint64_t seed) {
    Rng rng(seed);
    current_case = "constant bits, seed " + std::to_string(seed);
    const int64_t bits = draw(rng, 30, 300);
    Codes sample = uniform_codes(rng, 1000, bits);
    std::vector<bool> constant(static_cast<size_t>(bits));
    int64_t constants = 0;
    for (int64_t bit = 0; bit < bits; ++bit) {
        if (draw(rng, 0, 2) != 0) continue;
        constant[static_cast<size_t>(bit)] = true;
        ++constants;
        for (int64_t i = 0; i < sample.count(); ++i)
            if (bit_of(sample.row(i), bit) != (bit % 2 == 0)) sample.flip(i, bit);
    }
    MihParams params;
    params.tables = draw(rng, 1, 12);
    const MihPlan plan = plan_mih(bits, 100'000, bits / 10, sample.view(), params);
    expect_valid(plan, bits, 100'000, bits / 10, params);
    int64_t in_keys = 0;
    for (const auto& key : plan.key_bits)
        for (const uint32_t bit : key) in_keys += constant[bit] ? 1 : 0;
    EXPECT(in_keys == std::max<int64_t>(0, total_width(plan) - (bits - constants)));
}

/// Bits that are always equal, as many as there are tables, go to a table each.
void check_correlated_bits(uint64_t seed) {
    Rng rng(seed);
    current_case = "correlated bits, seed " + std::to_string(seed);
    const int64_t tables = draw(rng, 2, 8);
    const int64_t groups = draw(rng, 8, 16);
    const int64_t bits = tables * groups;
    const Codes independent = uniform_codes(rng, 2000, groups);
    Codes sample(independent.count(), bits);
    for (int64_t i = 0; i < sample.count(); ++i)
        for (int64_t bit = 0; bit < bits; ++bit)
            if (bit_of(independent.row(i), bit / tables)) sample.flip(i, bit);
    MihParams params;
    params.tables = tables;
    const MihPlan plan = plan_mih(bits, 1'000'000, bits / 10, sample.view(), params);
    expect_valid(plan, bits, 1'000'000, bits / 10, params);
    for (const auto& key : plan.key_bits) {
        std::vector<int64_t> group_of;
        for (const uint32_t bit : key) group_of.push_back(bit / tables);
        EXPECT(std::adjacent_find(group_of.begin(), group_of.end()) == group_of.end());
    }
}

/// With one table, a search looks up the ball around its key; further out, it costs no less.
void check_cost(uint64_t seed) {
    Rng rng(seed);
    current_case = "cost, seed " + std::to_string(seed);
    const int64_t bits = draw(rng, 1, 200);
    const int64_t count = draw(rng, 1, 10'000'000);
    MihParams params;
    params.tables = 1;
    const MihPlan one = plan_mih(bits, count, bits / 10, {nullptr, 0, bits}, params);
    const int64_t width = one.key_width(0);
    double ball = 0, of_distance = 1;
    for (int64_t radius = 0; radius <= bits; ++radius) {
        EXPECT(radius > width || binomial(width, radius) == std::round(of_distance));
        ball += radius > width ? 0 : std::round(of_distance);
        of_distance *= static_cast<double>(width - radius) / static_cast<double>(radius + 1);
        const MihCost cost = expected_cost(one, count, radius);
        const double entries = ball * static_cast<double>(count) / std::exp2(width);
        EXPECT(cost.lookups == ball);
        EXPECT(std::abs(cost.candidates - entries) <= 1e-9 * entries);
    }
    EXPECT(binomial(width, -1) == 0 && binomial(width, width + 1) == 0);

    const MihPlan many = plan_mih(bits, count, bits / 10, {nullptr, 0, bits}, {});
    MihCost before;
    for (int64_t radius = 0; radius <= bits; ++radius) {
        const MihCost cost = expected_cost(many, count, radius);
        EXPECT(cost.lookups >= before.lookups && cost.candidates >= before.candidates);
        EXPECT(cost.nanoseconds >= before.nanoseconds && std::isfinite(cost.nanoseconds));
        before = cost;
    }
}

struct SortedTable {
    std::vector<uint32_t> starts;
    std::vector<uint8_t> entries;
    std::vector<uint32_t> positions;
    bool operator==(const SortedTable&) const = default;
};

SortedTable empty_table(const MihPlan& plan, int64_t table, int64_t count) {
    return {std::vector<uint32_t>(static_cast<size_t>(plan.keys(table) + 1)),
            std::vector<uint8_t>(static_cast<size_t>(count * plan.entry_bytes(table))),
            std::vector<uint32_t>(static_cast<size_t>(count))};
}

uint64_t value_of(const uint8_t* row, const std::vector<uint32_t>& bits) {
    uint64_t value = 0;
    for (size_t i = 0; i < bits.size(); ++i) value |= uint64_t{bit_of(row, bits[i])} << i;
    return value;
}

SortedTable stable_sorted(const MihPlan& plan, int64_t table, const Codes& codes) {
    SortedTable sorted = empty_table(plan, table, codes.count());
    std::vector<uint64_t> keys;
    for (int64_t i = 0; i < codes.count(); ++i) {
        keys.push_back(value_of(codes.row(i), plan.key_bits[static_cast<size_t>(table)]));
        ++sorted.starts[keys.back() + 1];
    }
    std::partial_sum(sorted.starts.begin(), sorted.starts.end(), sorted.starts.begin());
    std::iota(sorted.positions.begin(), sorted.positions.end(), 0U);
    std::stable_sort(sorted.positions.begin(), sorted.positions.end(),
                     [&](uint32_t a, uint32_t b) { return keys[a] < keys[b]; });
    const auto bytes = static_cast<size_t>(plan.entry_bytes(table));
    const std::vector<uint32_t> rest_bits = plan.rest_bits(table);
    for (size_t i = 0; i < sorted.positions.size() && bytes > 0; ++i) {
        const uint8_t* row = codes.row(sorted.positions[i]);
        uint64_t rest = 0;
        if (plan.entry == MihEntry::rest) rest = value_of(row, rest_bits);
        uint8_t* entry = sorted.entries.data() + i * bytes;
        if (plan.entry == MihEntry::word) std::copy_n(row, bytes_per_code(codes.bits()), entry);
        for (size_t byte = 0; byte < bytes && plan.entry == MihEntry::rest; ++byte)
            entry[byte] = static_cast<uint8_t>(rest >> (8 * byte));
    }
    return sorted;
}

SortedTable built_in_slices(Rng& rng, const MihPlan& plan, int64_t table, const Codes& codes) {
    MihTableBuilder builder(plan, table, codes.view(), static_cast<int>(draw(rng, 1, 4)), nullptr);
    SortedTable built = empty_table(plan, table, codes.count());
    built.starts = builder.starts();
    std::vector<int64_t> cuts = {0, codes.count()};
    for (int64_t more = draw(rng, 0, 4); more > 0; --more)
        cuts.push_back(draw(rng, 0, codes.count()));
    std::sort(cuts.begin(), cuts.end());
    for (size_t i = 0; i + 1 < cuts.size(); ++i)
        builder.fill(cuts[i], cuts[i + 1], built.entries.data() + cuts[i] * plan.entry_bytes(table),
                     built.positions.data() + cuts[i]);
    return built;
}

/// A drawn plan for codes, some of them equal; `count` of 131,072 and more are counted in parts.
void check_build(uint64_t seed, int64_t count) {
    Rng rng(seed);
    current_case = "build, seed " + std::to_string(seed);
    const int64_t bits = seed % 3 == 0 ? draw(rng, 65, 300) : draw(rng, 1, 64);
    const Codes codes = clustered_codes(rng, uniform_codes(rng, 3, bits), count, 0);
    MihParams params;
    params.layout = draw(rng, 0, 1) == 0 ? Layout::fast : Layout::compact;
    params.tables = draw(rng, 1, std::min<int64_t>(bits, 6));
    const MihPlan plan = plan_mih(bits, count, draw(rng, 0, bits / 4), codes.view(), params);
    const MihTables whole =
        build_mih(plan, codes.view(), static_cast<int>(draw(rng, 1, 4)), nullptr);
    for (int64_t table = 0; table < plan.tables(); ++table) {
        const SortedTable expected = stable_sorted(plan, table, codes);
        EXPECT(built_in_slices(rng, plan, table, codes) == expected);
        const MihTable& got = whole.tables[static_cast<size_t>(table)];
        EXPECT(std::equal(expected.starts.begin(), expected.starts.end(), got.starts));
        EXPECT(std::equal(expected.positions.begin(), expected.positions.end(), got.positions));
        EXPECT((got.entries == nullptr) == (bits > 64));
        EXPECT(std::equal(expected.entries.begin(), expected.entries.end(), got.entries));
    }
    EXPECT((whole.rows != nullptr) == (bits > 64));
    if (whole.rows != nullptr) EXPECT(std::equal(codes.row(0), codes.row(count), whole.rows));
}

void check_search(uint64_t seed) {
    Rng rng(seed);
    const int64_t bits = seed % 3 == 0 ? draw(rng, 65, 300) : draw(rng, 1, 64);
    const int64_t count = draw(rng, 1, 3000), k = draw(rng, 1, 30);
    const Codes centres = uniform_codes(rng, 3, bits);
    const Codes codes = clustered_codes(rng, centres, count, 0);
    const Codes queries = clustered_codes(rng, centres, draw(rng, 1, 70), 0);
    MihParams params;
    params.layout = draw(rng, 0, 1) == 0 ? Layout::fast : Layout::compact;
    if (draw(rng, 0, 1) == 0) params.tables = draw(rng, 1, std::min(bits, max_mih_tables));
    const auto index = make_index(bits, "mih", params, static_cast<int>(draw(rng, 1, 4)));
    std::vector<int64_t> added(static_cast<size_t>(count));
    index->add(codes.view(), nullptr, added.data(), nullptr);
    const std::vector<int32_t> truth = distances(queries, codes);
    const size_t hits = static_cast<size_t>(queries.count() * k);
    std::vector<int32_t> distances_found(hits);
    std::vector<int64_t> ids(hits), counts(static_cast<size_t>(queries.count()));
    for (const std::string& level : isa_levels()) {
        current_case = "search, seed " + std::to_string(seed) + ", " + level;
        force_isa(level);
        index->search(queries.view(), k, std::nullopt, {},
                      {distances_found.data(), ids.data(), counts.data()});
        for (int64_t q = 0; q < queries.count(); ++q) {
            const Ranking all = ranking(truth.data() + q * count, count);
            EXPECT(counts[static_cast<size_t>(q)] == std::min(k, count));
            for (int64_t i = 0; i < std::min(k, count); ++i) {
                const auto at = static_cast<size_t>(q * k + i);
                EXPECT(std::pair(distances_found[at], ids[at]) == all[static_cast<size_t>(i)]);
            }
        }
    }
    force_isa("");
}

int run(const Budget& budget) {
    uint64_t cases = 0;
    check_build(1, 140'000);
    check_build(2, 200'000);
    check_build(3, 140'000);
    while (cases < 10 || budget.left()) {
        const uint64_t seed = ++cases;
        Rng rng(seed);
        check_plan(seed);
        check_constant_bits(seed);
        check_correlated_bits(seed);
        check_cost(seed);
        check_build(seed, draw(rng, 0, 3) == 0 ? draw(rng, 0, 20) : draw(rng, 0, 5000));
        check_search(seed);
    }
    std::cout << cases << " cases agree\n";
    return 0;
}

}  // namespace
}  // namespace hashcore::test

int main(int argc, char** argv) {
    return hashcore::test::run(hashcore::test::Budget(argc, argv));
}
