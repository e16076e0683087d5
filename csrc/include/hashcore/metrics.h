#pragma once
#include <cstdint>
#include <vector>

#include "hashcore/codes.h"
#include "hashcore/search.h"

namespace hashcore {

/// The classes of every item: one id each, or a set each, packed as codes are (bit c for class c).
/// Two items are relevant to each other when they share a class; their grade is how many they
/// share.
struct LabelsView {
    const uint32_t* ids;  ///< [count], or null
    CodesView sets;       ///< read where `ids` is null
};

/// Codes beside their labels, row by row.
struct LabelledCodes {
    CodesView codes;
    LabelsView labels;
};

/// Where rankings are cut; every value is at least 1 and may exceed the number of codes.
struct Cutoffs {
    std::vector<int64_t> map_at;
    std::vector<int64_t> precision_at;
    std::vector<int64_t> ndcg_at;
    double ndcg_no_relevant = 0.0;  ///< NDCG of a query that has no relevant item
};

/// What evaluate() finds. Of a pair, `tie_aware` is the expected value over every order inside
/// equal distance (McSherry and Najork, ECIR 2008) and `by_id` the value in (distance, row) order.
struct RankingMetrics {
    std::vector<int64_t> relevant;                             ///< [Q] relevant items
    std::vector<double> ap_tie_aware, ap_by_id;                ///< [Q] average precision
    std::vector<double> ap_chance;                             ///< [Q] expected for a random order
    std::vector<double> map_at_a, map_at_b, map_at_c;          ///< [Q, map_at] by id
    std::vector<double> map_at_c_tie_aware;                    ///< [Q, map_at]
    std::vector<double> precision_tie_aware, precision_by_id;  ///< [Q, precision_at]
    std::vector<double> ndcg_tie_aware, ndcg_by_id;            ///< [Q, ndcg_at]
    std::vector<int64_t> retrieved, hits;               ///< [K + 1] within each radius, all queries
    std::vector<double> macro_recall, macro_precision;  ///< [K + 1] mean over queries
};

/// Ranks the database for every query, without ever holding a ranking: besides tables of
/// [bits + 1], a thread holds 32 MiB at most, and all share one transposed copy of the database's
/// sets. A query without relevant items scores 0. The result does not depend on the thread count
/// or the instruction set.
/// Throws std::invalid_argument when `ndcg_at` is given and items share more than 1,000 classes.
RankingMetrics evaluate(const LabelledCodes& queries, const LabelledCodes& database,
                        const Cutoffs& cutoffs, const SearchOptions& options);

/// `out` is [queries, bits + 1, 2]: how many database codes lie at each distance, irrelevant ones
/// first, then relevant ones.
void relevance_counts(const LabelledCodes& queries, const LabelledCodes& database,
                      const SearchOptions& options, int64_t* out);

}  // namespace hashcore
