// The metrics of a few queries, in two passes over the database.
#pragma once
#include <vector>

#include "metrics/graded_pairs.h"
#include "metrics/rank_tables.h"

namespace hashcore {

/// What every query group works on.
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

/// The first pass counts items by distance and grade. Those counts give every tie-aware metric,
/// and where each distance begins in the ranking; so the second pass, in row order, knows every
/// item's position without sorting.
class QueryGroup {
 public:
    QueryGroup(const Evaluation& evaluation, int64_t first_query, int64_t query_count);

    /// Fills the queries' rows of `evaluation.out`; returns their sums by radius.
    RadiusSums run();

 private:
    struct Place {
        int64_t items, hits;  // seen so far, nearer ones included
    };
    struct RankedHit {
        int64_t position, number;  // in (distance, row) order, from 1
        uint32_t grade;
    };

    void count();
    std::vector<TiedBlock> blocks_of(int64_t query) const;
    void write_tie_aware(int64_t query);
    std::vector<TiedBlock> ideal_blocks(int64_t query) const;
    void add_radii(int64_t query, RadiusSums& sums);
    void place_items();
    int64_t find_hits(int64_t query, const uint32_t* distances, const uint32_t* grades,
                      int64_t begin, int64_t end, RankedHit* hits);
    void take(int64_t query, const RankedHit* hits, int64_t count);
    void take_ranked(int64_t query, const RankedHit& hit);
    void take_precision(int64_t query, const RankedHit& hit, double precision);
    void write_by_id(int64_t query);

    int64_t* cells(int64_t query) { return cells_.data() + (query - first_) * buckets_ * grades_; }
    const int64_t* cells(int64_t query) const {
        return cells_.data() + (query - first_) * buckets_ * grades_;
    }
    Place* places(int64_t query) { return places_.data() + (query - first_) * buckets_; }

    const Evaluation& run_;
    int64_t first_, queries_;
    int64_t buckets_, grades_;
    int64_t map_limit_ = 0, rank_limit_ = 0;  // the largest cutoffs
    std::vector<int64_t> cells_;              // [queries, distance, grade]
    std::vector<Place> places_;               // [queries, distance]
    std::vector<double> ideal_dcg_;           // [queries, ndcg_at]
};

}  // namespace hashcore
