#include "metrics/query_group.h"

#include <algorithm>
#include <array>

namespace hashcore {
namespace {

int64_t largest(const std::vector<int64_t>& cutoffs) {
    return cutoffs.empty() ? 0 : *std::max_element(cutoffs.begin(), cutoffs.end());
}

double ratio(double part, int64_t whole) {
    return whole == 0 ? 0.0 : part / static_cast<double>(whole);
}

double ratio(int64_t part, int64_t whole) {
    return ratio(static_cast<double>(part), whole);
}

double* row(std::vector<double>& values, int64_t query, const std::vector<int64_t>& cutoffs) {
    return values.data() + query * static_cast<int64_t>(cutoffs.size());
}

}  // namespace

void RadiusSums::add(const RadiusSums& other) {
    for (size_t radius = 0; radius < retrieved.size(); ++radius) {
        retrieved[radius] += other.retrieved[radius];
        hits[radius] += other.hits[radius];
        recall[radius] += other.recall[radius];
        precision[radius] += other.precision[radius];
    }
}

QueryGroup::QueryGroup(const Evaluation& evaluation, int64_t first_query, int64_t query_count)
    : run_(evaluation),
      first_(first_query),
      queries_(query_count),
      buckets_(evaluation.pairs.bits() + 1),
      grades_(int64_t{evaluation.pairs.max_grade()} + 1),
      map_limit_(largest(evaluation.cutoffs.map_at)),
      rank_limit_(
          std::max(largest(evaluation.cutoffs.precision_at), largest(evaluation.cutoffs.ndcg_at))),
      cells_(static_cast<size_t>(query_count * buckets_ * grades_)),
      places_(static_cast<size_t>(query_count * buckets_)),
      ideal_dcg_(static_cast<size_t>(query_count) * evaluation.cutoffs.ndcg_at.size()) {}

RadiusSums QueryGroup::run() {
    RadiusSums sums(run_.pairs.bits());
    count();
    for (int64_t q = first_; q < first_ + queries_; ++q) {
        write_tie_aware(q);
        add_radii(q, sums);
    }
    place_items();
    for (int64_t q = first_; q < first_ + queries_; ++q) write_by_id(q);
    return sums;
}

void QueryGroup::count() {
    const auto grades = static_cast<size_t>(grades_);
    run_.pairs.visit(
        first_, queries_, run_.monitor,
        [&](int64_t query, const uint32_t* distances, const uint32_t* grade, int64_t items) {
            int64_t* row_cells = cells(query);
            for (int64_t i = 0; i < items; ++i) ++row_cells[distances[i] * grades + grade[i]];
        });
}

std::vector<TiedBlock> QueryGroup::blocks_of(int64_t query) const {
    std::vector<TiedBlock> blocks;
    const int64_t* cell = cells(query);
    for (int64_t d = 0; d < buckets_; ++d, cell += grades_) {
        TiedBlock block{cell[0], 0, 0.0};
        for (int64_t grade = 1; grade < grades_; ++grade) {
            block.relevant += cell[grade];
            block.gain +=
                static_cast<double>(cell[grade]) * run_.tables.gain(static_cast<uint32_t>(grade));
        }
        block.items += block.relevant;
        if (block.items > 0) blocks.push_back(block);
    }
    return blocks;
}

/// One block a grade, best first: the order that NDCG compares with.
std::vector<TiedBlock> QueryGroup::ideal_blocks(int64_t query) const {
    std::vector<TiedBlock> blocks;
    for (int64_t grade = grades_ - 1; grade > 0; --grade) {
        int64_t items = 0;
        for (int64_t d = 0; d < buckets_; ++d) items += cells(query)[d * grades_ + grade];
        const double gain = run_.tables.gain(static_cast<uint32_t>(grade));
        if (items > 0) blocks.push_back({items, items, static_cast<double>(items) * gain});
    }
    return blocks;
}

void QueryGroup::write_tie_aware(int64_t query) {
    const Cutoffs& cutoffs = run_.cutoffs;
    RankingMetrics& out = run_.out;
    const auto q = static_cast<size_t>(query);
    const std::vector<TiedBlock> blocks = blocks_of(query);
    int64_t relevant = 0;
    for (const TiedBlock& block : blocks) relevant += block.relevant;
    const int64_t items = run_.pairs.code_count();

    out.relevant[q] = relevant;
    out.ap_chance[q] = run_.tables.chance(relevant);
    out.ap_tie_aware[q] = ratio(run_.tables.expected_precision_sum(blocks, items), relevant);
    double* map_at_c = row(out.map_at_c_tie_aware, query, cutoffs.map_at);
    for (const int64_t cutoff : cutoffs.map_at)
        *map_at_c++ =
            ratio(run_.tables.expected_precision_sum(blocks, cutoff), std::min(cutoff, relevant));
    double* precision = row(out.precision_tie_aware, query, cutoffs.precision_at);
    for (const int64_t cutoff : cutoffs.precision_at)
        *precision++ = ratio(RankTables::expected_hits(blocks, std::min(cutoff, items)),
                             std::min(cutoff, items));
    const std::vector<TiedBlock> best = ideal_blocks(query);
    double* ndcg = row(out.ndcg_tie_aware, query, cutoffs.ndcg_at);
    double* ideal = row(ideal_dcg_, query - first_, cutoffs.ndcg_at);
    for (const int64_t cutoff : cutoffs.ndcg_at) {
        *ideal = run_.tables.expected_dcg(best, cutoff);
        *ndcg++ = relevant == 0 ? cutoffs.ndcg_no_relevant
                                : run_.tables.expected_dcg(blocks, cutoff) / *ideal;
        ++ideal;
    }
}

void QueryGroup::add_radii(int64_t query, RadiusSums& sums) {
    const int64_t relevant = run_.out.relevant[static_cast<size_t>(query)];
    const int64_t* cell = cells(query);
    Place seen{0, 0};
    for (int64_t d = 0; d < buckets_; ++d, cell += grades_) {
        places(query)[d] = seen;
        seen.items += cell[0];
        for (int64_t grade = 1; grade < grades_; ++grade) {
            seen.items += cell[grade];
            seen.hits += cell[grade];
        }
        const auto radius = static_cast<size_t>(d);
        sums.retrieved[radius] += seen.items;
        sums.hits[radius] += seen.hits;
        sums.recall[radius] += ratio(seen.hits, relevant);
        sums.precision[radius] += ratio(seen.hits, seen.items);
    }
}

void QueryGroup::place_items() {
    constexpr int64_t chunk = 256;
    run_.pairs.visit(
        first_, queries_, run_.monitor,
        [&](int64_t query, const uint32_t* distances, const uint32_t* grades, int64_t items) {
            std::array<RankedHit, chunk> hits;
            for (int64_t begin = 0; begin < items; begin += chunk) {
                const int64_t end = std::min(items, begin + chunk);
                take(query, hits.data(),
                     find_hits(query, distances, grades, begin, end, hits.data()));
            }
        });
}

/// Moves every item of [begin, end) to its place; writes the relevant ones to `hits` and returns
/// their number. Free of branches, for relevance is as good as random to the CPU.
int64_t QueryGroup::find_hits(int64_t query, const uint32_t* distances, const uint32_t* grades,
                              int64_t begin, int64_t end, RankedHit* hits) {
    Place* row_places = places(query);
    int64_t found = 0;
    for (int64_t i = begin; i < end; ++i) {
        Place& place = row_places[distances[i]];
        const int64_t relevant = grades[i] > 0 ? 1 : 0;
        ++place.items;
        place.hits += relevant;
        hits[found] = {place.items, place.hits, grades[i]};
        found += relevant;
    }
    return found;
}

void QueryGroup::take(int64_t query, const RankedHit* hits, int64_t count) {
    double& sum_out = run_.out.ap_by_id[static_cast<size_t>(query)];
    double sum = sum_out;
    for (const RankedHit* hit = hits; hit != hits + count; ++hit) {
        const double precision =
            static_cast<double>(hit->number) / static_cast<double>(hit->position);
        sum += precision;
        if (hit->number <= map_limit_) take_precision(query, *hit, precision);
        if (hit->position <= rank_limit_) take_ranked(query, *hit);
    }
    sum_out = sum;
}

/// Until write_by_id() divides, map_at_a holds hits, map_at_b and map_at_c sums of precisions.
void QueryGroup::take_precision(int64_t query, const RankedHit& hit, double precision) {
    const std::vector<int64_t>& cutoffs = run_.cutoffs.map_at;
    const size_t first = static_cast<size_t>(query) * cutoffs.size();
    for (size_t i = 0; i < cutoffs.size(); ++i) {
        if (hit.number <= cutoffs[i]) run_.out.map_at_b[first + i] += precision;
        if (hit.position > cutoffs[i]) continue;
        run_.out.map_at_a[first + i] += 1.0;
        run_.out.map_at_c[first + i] += precision;
    }
}

/// Until write_by_id() divides, precision_by_id holds hits and ndcg_by_id gains.
void QueryGroup::take_ranked(int64_t query, const RankedHit& hit) {
    const Cutoffs& cutoffs = run_.cutoffs;
    double* hits = row(run_.out.precision_by_id, query, cutoffs.precision_at);
    for (const int64_t cutoff : cutoffs.precision_at) *hits++ += hit.position <= cutoff ? 1.0 : 0.0;
    double* dcg = row(run_.out.ndcg_by_id, query, cutoffs.ndcg_at);
    const double gain = run_.tables.gain(hit.grade);
    for (const int64_t cutoff : cutoffs.ndcg_at) {
        if (hit.position <= cutoff) *dcg += gain * run_.tables.discount(hit.position);
        ++dcg;
    }
}

void QueryGroup::write_by_id(int64_t query) {
    const Cutoffs& cutoffs = run_.cutoffs;
    RankingMetrics& out = run_.out;
    const auto q = static_cast<size_t>(query);
    const int64_t relevant = out.relevant[q];
    out.ap_by_id[q] = ratio(out.ap_by_id[q], relevant);
    for (size_t i = 0; i < cutoffs.map_at.size(); ++i) {
        const size_t at = q * cutoffs.map_at.size() + i;
        const int64_t kept = std::min(cutoffs.map_at[i], relevant);
        out.map_at_a[at] = ratio(out.map_at_c[at], static_cast<int64_t>(out.map_at_a[at]));
        out.map_at_b[at] = ratio(out.map_at_b[at], kept);
        out.map_at_c[at] = ratio(out.map_at_c[at], kept);
    }
    double* precision = row(out.precision_by_id, query, cutoffs.precision_at);
    for (const int64_t cutoff : cutoffs.precision_at) {
        *precision = ratio(*precision, std::min(cutoff, run_.pairs.code_count()));
        ++precision;
    }
    double* ndcg = row(out.ndcg_by_id, query, cutoffs.ndcg_at);
    const double* ideal = row(ideal_dcg_, query - first_, cutoffs.ndcg_at);
    for (size_t i = 0; i < cutoffs.ndcg_at.size(); ++i)
        ndcg[i] = relevant == 0 ? cutoffs.ndcg_no_relevant : ndcg[i] / ideal[i];
}

}  // namespace hashcore
