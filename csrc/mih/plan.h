// How an exact multi-index hash cuts its codes (Norouzi, Punjani and Fleet, TPAMI 2014): every
// table is keyed by bits of its own, so that a code within distance r of a query is within r_j in
// some table j, for any r_j with sum(r_j + 1) > r.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "hashcore/codes.h"
#include "hashcore/mih.h"

namespace hashcore {

/// What a table holds of a code, besides its position.
enum class MihEntry : uint32_t {
    word = 1,      ///< the code, one 64-bit word
    rest = 2,      ///< the bits that are not in the key, in whole bytes
    position = 3,  ///< nothing: codes are kept once, as rows in position order
};

struct MihPlan {
    int64_t bits = 0;
    MihParams::Layout layout = MihParams::Layout::fast;
    int64_t radius = 0;  ///< the distance that searches are expected to go to
    MihEntry entry = MihEntry::position;
    /// [tables] the code bits of each table's key, ascending; a code bit is in one key at most. Bit
    /// i of a key's value is code bit key_bits[i].
    std::vector<std::vector<uint32_t>> key_bits;

    int64_t tables() const { return static_cast<int64_t>(key_bits.size()); }
    int64_t key_width(int64_t table) const {
        return static_cast<int64_t>(key_bits[static_cast<size_t>(table)].size());
    }
    int64_t keys(int64_t table) const { return int64_t{1} << key_width(table); }

    /// Bytes of a table's entry, positions aside.
    int64_t entry_bytes(int64_t table) const;

    /// The code bits that a table's key leaves, ascending.
    std::vector<uint32_t> rest_bits(int64_t table) const;

    /// Bytes of the whole structure for `count` codes.
    double bytes(int64_t count) const;
};

inline constexpr int64_t max_mih_tables = 32;
inline constexpr int64_t max_key_bits = 28;
inline constexpr int64_t max_mih_codes = (int64_t{1} << 32) - 1;

/// Nanoseconds that a search is expected to take; only their ratios matter.
struct MihCost {
    double lookups = 0, candidates = 0, nanoseconds = 0;
};

/// The cost of all lookups out to `radius` when `count` codes fill the tables evenly.
MihCost expected_cost(const MihPlan& plan, int64_t count, int64_t radius);

/// What work of that much costs: `near` of the entries are near enough to be looked at.
double work_nanoseconds(const MihPlan& plan, double lookups, double filled_buckets, double entries,
                        double near);

/// One step of a search: all keys of a table at distance `key_distance` from the query's.
double step_nanoseconds(const MihPlan& plan, int64_t table, int64_t key_distance,
                        double codes_a_bucket);

/// What a scan of all `count` codes costs each of `queries` queries that share it.
double scan_nanoseconds(const MihPlan& plan, int64_t count, int64_t queries);

double binomial(int64_t n, int64_t k);

/// The most bytes that tables of the compact layout take, where that can be met.
double compact_bytes(int64_t bits, int64_t count);

/// Chooses the bits of the keys, whose widths stay, by a sample of the codes: balanced ones, and
/// within one key such as vary independently. A small sample changes nothing.
void deal_keys(MihPlan& plan, CodesView sample);

/// The cheapest plan within `params`, for searches out to `radius`, its keys dealt by `sample`.
/// Throws std::invalid_argument where `params.memory_budget` allows none.
MihPlan plan_mih(int64_t bits, int64_t count, int64_t radius, CodesView sample,
                 const MihParams& params);

}  // namespace hashcore
