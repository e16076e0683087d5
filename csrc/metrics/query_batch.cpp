#include "metrics/query_batch.h"

#include <algorithm>
#include <memory>
#include <vector>

namespace hashcore {
namespace {

constexpr int64_t batch_queries = 16;  // that share the loading of a tile while hits are held

/// Of consecutive queries.
using Rankings = std::vector<QueryRanking>;

/// One pass; the hits wait in memory until all items are counted.
void rank_held(const Evaluation& run, int64_t first, Rankings& rankings) {
    const int64_t room = run.pairs.code_count();
    const auto count = static_cast<int64_t>(rankings.size());
    const auto buffer =
        std::make_unique_for_overwrite<TiedHit[]>(static_cast<size_t>(count * room));
    HitFinder finder(run.pairs);
    std::vector<std::vector<Hits>> tiles(rankings.size());
    std::vector<int64_t> held(rankings.size());
    run.pairs.visit(first, count, run.monitor, [&](int64_t query, const TilePairs& tile) {
        const auto q = static_cast<size_t>(query - first);
        TiedHit* hits = buffer.get() + (query - first) * room + held[q];
        tiles[q].push_back(finder.find(tile, rankings[q].ties(), hits));
        held[q] += tiles[q].back().count;
    });
    for (size_t q = 0; q < rankings.size(); ++q) {
        rankings[q].place();
        for (const Hits& hits : tiles[q]) rankings[q].rank(hits);
    }
}

/// Two passes that find the same hits.
void rank_found_again(const Evaluation& run, int64_t first, Rankings& rankings) {
    std::vector<TiedHit> buffer(static_cast<size_t>(run.pairs.tile_items()));
    HitFinder finder(run.pairs);
    const auto for_each_tile = [&](const auto& use) {
        const auto count = static_cast<int64_t>(rankings.size());
        run.pairs.visit(first, count, run.monitor, [&](int64_t query, const TilePairs& tile) {
            QueryRanking& ranking = rankings[static_cast<size_t>(query - first)];
            use(ranking, finder.find(tile, ranking.ties(), buffer.data()));
        });
    };
    for_each_tile([](QueryRanking&, const Hits&) {});
    for (QueryRanking& ranking : rankings) {
        ranking.place();
        ranking.clear_ties();
    }
    for_each_tile([](QueryRanking& ranking, const Hits& hits) { ranking.rank(hits); });
}

}  // namespace

int64_t passes_over(int64_t code_count) {
    constexpr int64_t most_held = int64_t{32} << 20;
    const int64_t bytes_a_code = batch_queries * int64_t{sizeof(TiedHit)};
    return code_count <= most_held / bytes_a_code ? 1 : 2;
}

RadiusSums evaluate_queries(const Evaluation& evaluation, int64_t first, int64_t count) {
    const bool hold = passes_over(evaluation.pairs.code_count()) == 1;
    const int64_t step = hold ? batch_queries : count;
    RadiusSums sums(evaluation.pairs.bits());
    for (int64_t begin = first; begin < first + count; begin += step) {
        Rankings rankings;
        for (int64_t q = begin; q < std::min(begin + step, first + count); ++q)
            rankings.emplace_back(evaluation, q);
        if (hold)
            rank_held(evaluation, begin, rankings);
        else
            rank_found_again(evaluation, begin, rankings);
        for (QueryRanking& ranking : rankings) ranking.write(sums);
    }
    return sums;
}

}  // namespace hashcore
