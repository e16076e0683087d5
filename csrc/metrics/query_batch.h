// The metrics of queries that pass over the database together.
#pragma once
#include "metrics/query_ranking.h"

namespace hashcore {

/// How often evaluate_queries() goes over `code_count` items: once where the hits of a batch of
/// queries can be held in 32 MiB until all items are counted, else twice.
int64_t passes_over(int64_t code_count);

/// Fills the rows of `evaluation.out` for queries [first, first + count); returns their sums by
/// radius, added up in query order.
RadiusSums evaluate_queries(const Evaluation& evaluation, int64_t first, int64_t count);

}  // namespace hashcore
