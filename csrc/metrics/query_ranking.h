// The metrics of one query, from its hits.
#pragma once
#include <vector>

#include "metrics/graded_pairs.h"
#include "metrics/rank_tables.h"
#include "metrics/tied_hits.h"

namespace hashcore {

/// What every query works on.
struct Evaluation {
    const GradedPairs& pairs;
    const RankTables& tables;
    const Cutoffs& cutoffs;
    Monitor* monitor;
    RankingMetrics& out;
};

/// Sums over queries within each radius.
struct RadiusSums {
    explicit RadiusSums(int64_t bits)
        : retrieved(static_cast<size_t>(bits + 1)),
          hits(retrieved.size()),
          recall(retrieved.size()),
          precision(retrieved.size()) {}

    void add(const RadiusSums& other);

    std::vector<int64_t> retrieved, hits;
    std::vector<double> recall, precision;
};

/// Its hits are counted first: the counts say where each distance begins in the ranking, so every
/// hit's position is known without sorting. Then the hits come again, in row order, to be ranked.
class QueryRanking {
 public:
    QueryRanking(const Evaluation& evaluation, int64_t query);

    /// For HitFinder to count into.
    TieCounts ties() { return {items_.data(), hits_.data()}; }
    /// Everything will be counted again.
    void clear_ties();

    /// All is counted: the ranking begins.
    void place();
    /// Takes the hits of the next tile.
    void rank(const Hits& hits);
    /// Fills the query's row of `evaluation.out` and adds to the sums by radius.
    void write(RadiusSums& sums);

 private:
    struct RankedHit {
        int64_t position, number;  // in (distance, row) order, from 1
        int64_t item;
        uint32_t distance;
    };

    /// Grades that a pair can have, 0 among them.
    size_t grades() const { return size_t{run_.pairs.relevance().max_grade()} + 1; }

    void take_near(const RankedHit& hit);
    void take_precision(const RankedHit& hit);
    void take_gain(const RankedHit& hit);
    std::vector<TiedBlock> blocks() const;
    std::vector<TiedBlock> ideal_blocks() const;
    void write_tie_aware();
    void write_ndcg(const std::vector<TiedBlock>& ranking);
    void write_by_id();
    void add_radii(RadiusSums& sums) const;

    const Evaluation& run_;
    int64_t query_;
    int64_t last_map_, last_precision_, last_graded_;  // the largest cutoffs
    int64_t relevant_ = 0;
    double precision_sum_ = 0;
    std::vector<int64_t> items_, hits_;  // [bits + 1] at each distance
    std::vector<int64_t> items_before_;  // [bits + 1] nearer ones
    std::vector<int64_t> hits_so_far_;   // [bits + 1]
    uint32_t near_distances_ = 0;        // where a cutoff can matter
    uint32_t graded_distances_ = 0;      // where a cutoff of NDCG can
    std::vector<int64_t> near_grades_;   // [graded_distances, max_grade + 1] relevant items
};

}  // namespace hashcore
