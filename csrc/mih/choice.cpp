#include "mih/choice.h"

#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "cpu/flat_scan.h"

namespace hashcore {
namespace {

constexpr CodesView no_sample{nullptr, 0, 1};
constexpr double margin = 4;  // real queries are dearer than the even ones of the estimates

/// Evenly spread codes, as rows.
std::vector<uint8_t> sample_rows(const CodeSource& codes, int64_t count) {
    const int64_t row_bytes = bytes_per_code(codes.bits());
    std::vector<uint8_t> rows(static_cast<size_t>(count * row_bytes));
    WordBuffer block(codes.words() * block_codes);
    for (int64_t i = 0; i < count; ++i) {
        codes.copy_code(codes.count() * i / count, block.data(), 0);
        read_code(block.data(), 0, codes.bits(), rows.data() + i * row_bytes);
    }
    return rows;
}

/// The median distance of some codes to their tenth neighbour.
int64_t typical_radius(const CodeSource& codes, int threads, Monitor* monitor) {
    constexpr int64_t neighbours = 10;
    constexpr int64_t most_queries = 32;
    const int64_t count = std::min(codes.count(), most_queries);
    if (count == 0) return 0;
    const std::vector<uint8_t> rows = sample_rows(codes, count);
    constexpr int64_t k = neighbours + 1;  // a code is its own nearest
    std::vector<int32_t> distances(static_cast<size_t>(count * k));
    std::vector<int64_t> ids(distances.size());
    std::vector<int64_t> counts(static_cast<size_t>(count));
    Monitor only_stops([monitor](int64_t, int64_t) {
        if (monitor != nullptr) monitor->advance(0);
        return true;
    });
    flat_knn(codes, {{rows.data(), count, codes.bits()}, nullptr, nullptr, threads, &only_stops}, k,
             std::nullopt, {distances.data(), ids.data(), counts.data()});
    std::vector<int32_t> tenth;
    for (int64_t q = 0; q < count; ++q)
        tenth.push_back(distances[static_cast<size_t>(q * k + neighbours)]);
    std::nth_element(tenth.begin(), tenth.begin() + count / 2, tenth.end());
    return std::min<int64_t>(tenth[static_cast<size_t>(count / 2)], codes.bits());
}

int64_t wanted_radius(const CodeSource& codes, const MihParams& params, int threads,
                      Monitor* monitor) {
    return params.radius ? *params.radius : typical_radius(codes, threads, monitor);
}

/// Whether searches as far as the plan is for are expected to be clearly faster than a scan.
bool pays(const MihPlan& plan, int64_t count) {
    return margin * expected_cost(plan, count, plan.radius).nanoseconds <
           scan_nanoseconds(plan, count, 1);
}

void deal_keys_by_sample(MihPlan& plan, const CodeSource& codes) {
    constexpr int64_t most_codes = 4096;
    constexpr int64_t most_bits = int64_t{1} << 23;
    const int64_t sampled =
        std::min({codes.count(), most_codes, std::max<int64_t>(512, most_bits / codes.bits())});
    const std::vector<uint8_t> rows = sample_rows(codes, sampled);
    deal_keys(plan, {rows.data(), sampled, codes.bits()});
}

}  // namespace

void check_mih_params(int64_t bits, const MihParams& params) {
    const int64_t most = std::min(bits, max_mih_tables);
    if (params.tables && (*params.tables < 1 || *params.tables > most))
        throw std::invalid_argument("tables: expected 1.." + std::to_string(most) + "; got " +
                                    std::to_string(*params.tables));
    if (params.radius && (*params.radius < 0 || *params.radius > bits))
        throw std::invalid_argument("radius: expected 0.." + std::to_string(bits) + "; got " +
                                    std::to_string(*params.radius));
}

MihPlan choose_plan(const CodeSource& codes, const MihParams& params, int threads,
                    Monitor* monitor) {
    if (codes.count() > max_mih_codes)
        throw std::invalid_argument("codes: kind 'mih' takes at most 4,294,967,295; got " +
                                    std::to_string(codes.count()) +
                                    ". Use kind 'flat', or several indexes and merge().");
    // Where most searches will end in a scan, the tables are for those that go less far.
    int64_t radius = wanted_radius(codes, params, threads, monitor);
    MihPlan plan = plan_mih(codes.bits(), codes.count(), radius, no_sample, params);
    while (radius > 0 && !pays(plan, codes.count())) {
        radius = radius * 3 / 4;
        plan = plan_mih(codes.bits(), codes.count(), radius, no_sample, params);
    }
    deal_keys_by_sample(plan, codes);
    return plan;
}

std::optional<MihPlan> choose_plan_if_faster(const CodeSource& codes, const MihParams& params,
                                             int threads, Monitor* monitor) {
    constexpr int64_t fewest_codes = 1'000'000;
    if (codes.count() < fewest_codes || codes.count() > max_mih_codes) return std::nullopt;
    MihParams bounded = params;
    if (!bounded.memory_budget) bounded.memory_budget = half_of_memory();
    const int64_t radius = wanted_radius(codes, params, threads, monitor);
    try {
        MihPlan plan = plan_mih(codes.bits(), codes.count(), radius, no_sample, bounded);
        if (!pays(plan, codes.count())) return std::nullopt;
        deal_keys_by_sample(plan, codes);
        return plan;
    } catch (const std::invalid_argument&) {
        return std::nullopt;  // the budget allows no tables
    }
}

int64_t half_of_memory() {
    return static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE) / 2;
}

}  // namespace hashcore
