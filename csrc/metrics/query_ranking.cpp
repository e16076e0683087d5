#include "metrics/query_ranking.h"

#include <algorithm>

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

QueryRanking::QueryRanking(const Evaluation& evaluation, int64_t query)
    : run_(evaluation),
      query_(query),
      last_map_(largest(evaluation.cutoffs.map_at)),
      last_precision_(largest(evaluation.cutoffs.precision_at)),
      last_graded_(largest(evaluation.cutoffs.ndcg_at)),
      items_(static_cast<size_t>(evaluation.pairs.bits() + 1)),
      hits_(items_.size()),
      items_before_(items_.size()),
      hits_so_far_(items_.size()) {}

void QueryRanking::clear_ties() {
    std::fill(items_.begin(), items_.end(), 0);
    std::fill(hits_.begin(), hits_.end(), 0);
}

void QueryRanking::place() {
    const int64_t positions = std::max(last_precision_, last_graded_);
    int64_t items = 0;
    int64_t hits = 0;
    for (size_t d = 0; d < items_.size(); ++d) {
        items_before_[d] = items;
        hits_so_far_[d] = hits;
        if (items < positions || hits < last_map_) near_distances_ = static_cast<uint32_t>(d + 1);
        if (items < last_graded_) graded_distances_ = static_cast<uint32_t>(d + 1);
        items += items_[d];
        hits += hits_[d];
    }
    relevant_ = hits;
    near_grades_.resize(graded_distances_ * grades());
}

void QueryRanking::rank(const Hits& hits) {
    const TiedHit near_end = make_tied_hit(make_tile_hit(near_distances_, 0), 0);
    const int64_t* items_before = items_before_.data();
    int64_t* hits_so_far = hits_so_far_.data();
    double sum = precision_sum_;
    for (int64_t i = 0; i < hits.count; ++i) {
        const TiedHit hit = hits.hits[i];
        const uint32_t distance = tile_hit_distance(tile_hit(hit));
        const int64_t position = items_before[distance] + static_cast<int64_t>(tied_place(hit));
        const int64_t number = ++hits_so_far[distance];
        sum += static_cast<double>(number) / static_cast<double>(position);
        if (hit < near_end) [[unlikely]]
            take_near({position, number, hits.first_item + tile_hit_item(tile_hit(hit)), distance});
    }
    precision_sum_ = sum;
}

/// Until write() divides, precision_by_id and map_at_a hold hits, map_at_b and map_at_c sums of
/// precisions, ndcg_by_id gains.
void QueryRanking::take_near(const RankedHit& hit) {
    if (hit.number <= last_map_) take_precision(hit);
    if (hit.position <= last_precision_) {
        const std::vector<int64_t>& cutoffs = run_.cutoffs.precision_at;
        double* hits = row(run_.out.precision_by_id, query_, cutoffs);
        for (const int64_t cutoff : cutoffs) *hits++ += hit.position <= cutoff ? 1.0 : 0.0;
    }
    if (hit.distance < graded_distances_) take_gain(hit);
}

void QueryRanking::take_precision(const RankedHit& hit) {
    const std::vector<int64_t>& cutoffs = run_.cutoffs.map_at;
    const double precision = ratio(hit.number, hit.position);
    const size_t first = static_cast<size_t>(query_) * cutoffs.size();
    for (size_t i = 0; i < cutoffs.size(); ++i) {
        if (hit.number <= cutoffs[i]) run_.out.map_at_b[first + i] += precision;
        if (hit.position > cutoffs[i]) continue;
        run_.out.map_at_a[first + i] += 1.0;
        run_.out.map_at_c[first + i] += precision;
    }
}

void QueryRanking::take_gain(const RankedHit& hit) {
    const Cutoffs& cutoffs = run_.cutoffs;
    const uint32_t grade = run_.pairs.relevance().grade(query_, hit.item);
    ++near_grades_[hit.distance * grades() + grade];
    double* dcg = row(run_.out.ndcg_by_id, query_, cutoffs.ndcg_at);
    for (const int64_t cutoff : cutoffs.ndcg_at) {
        if (hit.position <= cutoff)
            *dcg += run_.tables.gain(grade) * run_.tables.discount(hit.position);
        ++dcg;
    }
}

void QueryRanking::write(RadiusSums& sums) {
    run_.out.relevant[static_cast<size_t>(query_)] = relevant_;
    write_tie_aware();
    write_by_id();
    add_radii(sums);
}

/// Nearest first. Only blocks that begin within a cutoff have their gain.
std::vector<TiedBlock> QueryRanking::blocks() const {
    std::vector<TiedBlock> blocks;
    blocks.reserve(items_.size());
    for (size_t d = 0; d < items_.size(); ++d) {
        if (items_[d] == 0) continue;
        TiedBlock block{items_[d], hits_[d], 0.0};
        if (d * grades() < near_grades_.size())
            for (uint32_t grade = 1; grade < grades(); ++grade)
                block.gain += static_cast<double>(near_grades_[d * grades() + grade]) *
                              run_.tables.gain(grade);
        blocks.push_back(block);
    }
    return blocks;
}

/// One block a grade, best first: the order that NDCG compares with.
std::vector<TiedBlock> QueryRanking::ideal_blocks() const {
    if (grades() == 2)
        return {{relevant_, relevant_, static_cast<double>(relevant_) * run_.tables.gain(1)}};
    const std::vector<int64_t> counts = run_.pairs.relevance().best_grades(query_, last_graded_);
    std::vector<TiedBlock> blocks;
    for (uint32_t grade = run_.pairs.relevance().max_grade(); grade > 0; --grade) {
        const int64_t items = counts[grade];
        if (items > 0)
            blocks.push_back({items, items, static_cast<double>(items) * run_.tables.gain(grade)});
    }
    return blocks;
}

void QueryRanking::write_tie_aware() {
    const Cutoffs& cutoffs = run_.cutoffs;
    RankingMetrics& out = run_.out;
    const auto q = static_cast<size_t>(query_);
    const std::vector<TiedBlock> ranking = blocks();
    const int64_t items = run_.pairs.code_count();

    out.ap_chance[q] = run_.tables.chance(relevant_);
    out.ap_tie_aware[q] = ratio(run_.tables.expected_precision_sum(ranking, items), relevant_);
    double* map_at_c = row(out.map_at_c_tie_aware, query_, cutoffs.map_at);
    for (const int64_t cutoff : cutoffs.map_at)
        *map_at_c++ =
            ratio(run_.tables.expected_precision_sum(ranking, cutoff), std::min(cutoff, relevant_));
    double* precision = row(out.precision_tie_aware, query_, cutoffs.precision_at);
    for (const int64_t cutoff : cutoffs.precision_at)
        *precision++ = ratio(RankTables::expected_hits(ranking, std::min(cutoff, items)),
                             std::min(cutoff, items));
    write_ndcg(ranking);
}

void QueryRanking::write_ndcg(const std::vector<TiedBlock>& ranking) {
    const std::vector<int64_t>& cutoffs = run_.cutoffs.ndcg_at;
    if (cutoffs.empty()) return;
    const std::vector<TiedBlock> best = ideal_blocks();
    double* tie_aware = row(run_.out.ndcg_tie_aware, query_, cutoffs);
    double* by_id = row(run_.out.ndcg_by_id, query_, cutoffs);
    for (const int64_t cutoff : cutoffs) {
        const double ideal = run_.tables.expected_dcg(best, cutoff);
        const bool none = relevant_ == 0;
        *tie_aware = none ? run_.cutoffs.ndcg_no_relevant
                          : run_.tables.expected_dcg(ranking, cutoff) / ideal;
        *by_id = none ? run_.cutoffs.ndcg_no_relevant : *by_id / ideal;
        ++tie_aware;
        ++by_id;
    }
}

void QueryRanking::write_by_id() {
    const Cutoffs& cutoffs = run_.cutoffs;
    RankingMetrics& out = run_.out;
    const auto q = static_cast<size_t>(query_);
    out.ap_by_id[q] = ratio(precision_sum_, relevant_);
    for (size_t i = 0; i < cutoffs.map_at.size(); ++i) {
        const size_t at = q * cutoffs.map_at.size() + i;
        const int64_t kept = std::min(cutoffs.map_at[i], relevant_);
        out.map_at_a[at] = ratio(out.map_at_c[at], static_cast<int64_t>(out.map_at_a[at]));
        out.map_at_b[at] = ratio(out.map_at_b[at], kept);
        out.map_at_c[at] = ratio(out.map_at_c[at], kept);
    }
    double* precision = row(out.precision_by_id, query_, cutoffs.precision_at);
    for (const int64_t cutoff : cutoffs.precision_at) {
        *precision = ratio(*precision, std::min(cutoff, run_.pairs.code_count()));
        ++precision;
    }
}

void QueryRanking::add_radii(RadiusSums& sums) const {
    int64_t items = 0;
    int64_t hits = 0;
    for (size_t radius = 0; radius < items_.size(); ++radius) {
        items += items_[radius];
        hits += hits_[radius];
        sums.retrieved[radius] += items;
        sums.hits[radius] += hits;
        sums.recall[radius] += ratio(hits, relevant_);
        sums.precision[radius] += ratio(hits, items);
    }
}

}  // namespace hashcore
