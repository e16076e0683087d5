// From hits to sorted rows: what blocks of threads do to one query's keys and bins, for GPUs and
// for tests on the host, and the plans of it.
#pragma once
#include <algorithm>
#include <cstdint>

#include "cuda/search_pass.h"
#include "cuda/team.h"

namespace hashcore::cuda {

/// Keys that are sorted in shared memory.
inline constexpr int64_t run_keys = 2048;

/// Where a rank falls among bins.
struct RankPlace {
    int64_t bin;     ///< the number of bins where there are fewer keys than that
    int64_t before;  ///< keys in the bins before it
};

/// The bin that holds the wanted-th key, counting from 1. Every thread gets it.
template <class Team>
HASHCORE_ANYWHERE RankPlace find_rank(Team& team, const unsigned long long* counts, int64_t bins,
                                      int64_t wanted) {
    auto* sums = static_cast<int64_t*>(team.room());
    const int64_t part = (bins + team.size() - 1) / team.size();
    team.each(team.size(), [&](int64_t thread) {
        int64_t sum = 0;
        for (int64_t i = thread * part; i < (thread + 1) * part && i < bins; ++i)
            sum += static_cast<int64_t>(counts[i]);
        sums[thread] = sum;
    });
    RankPlace place{0, 0};
    for (int thread = 0; thread < team.size() && place.before + sums[thread] < wanted; ++thread) {
        place.before += sums[thread];
        place.bin += part;
    }
    while (place.bin < bins && place.before + static_cast<int64_t>(counts[place.bin]) < wanted)
        place.before += static_cast<int64_t>(counts[place.bin++]);
    if (place.bin > bins) place.bin = bins;
    team.barrier();
    return place;
}

/// The k-th key of a query by radix selection: passes count keys of [low, limit) in bins of
/// 2^shift, and the bin that holds it is the next pass's range.
struct RankSearch {
    uint64_t low, limit;
    int64_t wanted;  ///< its rank in the range, from 1
    bool found;      ///< limit now lies right behind it, or as far behind as there is room for
};

/// One step with the bins of a pass. Ends early where all keys below the bin's end, `room` at most,
/// can be kept.
HASHCORE_ANYWHERE inline RankSearch narrow(const RankSearch& search, const RankPlace& place,
                                           int64_t in_bin, int shift, int64_t skipped,
                                           int64_t room) {
    const uint64_t width = uint64_t{1} << shift;
    RankSearch next = search;
    next.low = search.low + static_cast<uint64_t>(place.bin) * width;
    if (next.low + width < search.limit) next.limit = next.low + width;
    next.wanted = search.wanted - place.before;
    next.found = shift == 0 || skipped + place.before + in_bin <= room;
    return next;
}

/// Bins of a pass over positions, and how far it shifts: 11 bits a pass from the top.
inline constexpr int position_digit_bits = 11;
inline constexpr int64_t position_bins = int64_t{1} << position_digit_bits;

/// The first shift for positions below `end`; later ones are position_digit_bits less, 0 the last.
constexpr int first_position_shift(int64_t end) {
    int shift = 0;
    while (shift + position_digit_bits < position_bits && end >> (shift + position_digit_bits) != 0)
        shift += position_digit_bits;
    return shift;
}

/// Where key i of a row goes when its sorted runs of `length` are merged two by two. Keys differ.
HASHCORE_ANYWHERE inline int64_t merged_place(const uint64_t* keys, int64_t count, int64_t length,
                                              int64_t i) {
    const int64_t run = i / length;
    const int64_t other = (run ^ 1) * length;
    int64_t first = other < count ? other : count;
    int64_t left = other + length < count ? length : count - first;
    const int64_t begin = first;
    while (left > 0) {
        const int64_t half = left / 2;
        if (keys[first + half] < keys[i]) {
            first += half + 1;
            left -= half + 1;
        } else {
            left = half;
        }
    }
    return (run & ~int64_t{1}) * length + i % length + (first - begin);
}

/// Merges that a row of so many keys takes; after an odd number its keys are in the other buffer.
HASHCORE_ANYWHERE constexpr int merges_of(int64_t count) {
    int merges = 0;
    for (int64_t length = run_keys; length < count; length *= 2) ++merges;
    return merges;
}

/// How the k nearest of a query are found among `codes`.
struct KnnPlan {
    int64_t capacity;   ///< hits kept of a query
    int64_t tile_step;  ///< a first limit comes from every tile_step-th tile; 0: from none
};

/// `forced` capacity, for tests; 0 is none. It is never too small to be right.
constexpr KnnPlan plan_knn(int64_t k, int64_t codes, int64_t forced) {
    const int64_t wanted = k <= 1024 ? std::max<int64_t>(2 * run_keys, 64 * k) : 16 * k;
    const int64_t capacity =
        std::min(codes, forced > 0 ? std::max(forced, 2 * k) : std::max<int64_t>(wanted, 2 * k));
    const int64_t step =
        std::min({capacity / (4 * std::max<int64_t>(k, 1)), tiles_for(codes) / 8, int64_t{64}});
    return {capacity, codes <= run_keys || step < 2 ? 0 : step};
}

}  // namespace hashcore::cuda
