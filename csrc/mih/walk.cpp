#include "mih/walk.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "cpu/dispatch.h"
#include "mih/bit_gather.h"

namespace hashcore {
namespace {

void prefetch(const void* address) {
    __builtin_prefetch(address);
}

/// What a bucket's scan will read, up to where the hardware sees a stream: to the second cache, for
/// the first cannot hold that much.
void prefetch_all(const void* data, size_t bytes) {
    constexpr size_t line = 64;
    constexpr size_t most = 8 * line;
    const auto* first = static_cast<const uint8_t*>(data);
    const uint8_t* end = first + std::min(bytes, most);
    for (const uint8_t* at = first; at < end; at += line) __builtin_prefetch(at, 0, 2);
    __builtin_prefetch(end - 1, 0, 2);
}

/// The next larger integer with as many bits set.
uint64_t next_combination(uint64_t bits) {
    const uint64_t lowest = bits & (~bits + 1);
    const uint64_t carried = bits + lowest;
    return carried | (((bits ^ carried) >> 2) >> std::countr_zero(bits));
}

}  // namespace

MihWalk::MihWalk(const MihSearcher& searcher, const AllowedCodes* allowed, Monitor* monitor)
    : searcher_(searcher),
      tables_(searcher.tables()),
      kernels_(kernels()),
      allowed_(allowed),
      monitor_(monitor),
      states_(tables_.tables.size()) {
    if (tables_.plan.entry == MihEntry::rest)
        for (int64_t table = 0; table < tables_.plan.tables(); ++table)
            rest_bits_.push_back(tables_.plan.rest_bits(table));
}

void MihWalk::begin(const uint8_t* row) {
    const std::vector<uint64_t> words = row_words({row, 1, tables_.plan.bits});
    for (size_t table = 0; table < states_.size(); ++table) {
        TableState& state = states_[table];
        state.key = gather_bits(row, tables_.plan.key_bits[table]);
        state.next = 0;
        state.crowd = 0;
        state.codes_a_bucket = even_share(table);
        if (tables_.plan.entry == MihEntry::rest)
            state.words = {gather_bits(row, rest_bits_[table])};
        else
            state.words = words;
    }
}

double MihWalk::nanoseconds(const Work& work) const {
    return work_nanoseconds(tables_.plan, static_cast<double>(work.lookups),
                            static_cast<double>(work.filled), static_cast<double>(work.candidates),
                            static_cast<double>(work.near));
}

MihWalk::Step MihWalk::cheapest() const {
    Step best{0, std::numeric_limits<double>::infinity()};
    for (size_t table = 0; table < states_.size(); ++table) {
        const TableState& state = states_[table];
        const double cost = step_nanoseconds(tables_.plan, static_cast<int64_t>(table), state.next,
                                             state.codes_a_bucket);
        if (cost < best.nanoseconds) best = {table, cost};
    }
    return best;
}

bool MihWalk::walk(double scan_nanoseconds, HitSelection& hits) {
    const double spent_before = nanoseconds(work_);
    for (int64_t certain = -1; !hits.complete_within(certain); ++certain) {
        const auto [table, cost] = cheapest();
        TableState& state = states_[table];
        const int64_t width = tables_.plan.key_width(static_cast<int64_t>(table));
        if (nanoseconds(work_) - spent_before + cost > scan_nanoseconds) return false;
        const Work before = work_;
        if (!step(table, scan_nanoseconds, hits)) return false;
        const auto lookups = static_cast<double>(work_.lookups - before.lookups);
        const auto found = static_cast<double>(work_.candidates - before.candidates);
        if (state.next++ == width) return true;  // all of that table has been read
        expect(table, lookups, found);
    }
    return true;
}

/// What the next step of a table will meet, when its last one met `found` codes in `lookups`
/// buckets: an even share, and of the crowd around the query as much as last, or less where it is
/// growing thinner. Shares of a bucket would mislead: the query's bits may be off the crowd's.
void MihWalk::expect(size_t table, double lookups, double found) {
    TableState& state = states_[table];
    const double before = state.crowd;
    state.crowd = std::max(0.0, found - lookups * even_share(table));
    const double thinning = before > 0 ? std::min(1.0, state.crowd / before) : 1.0;
    const double next_lookups =
        binomial(tables_.plan.key_width(static_cast<int64_t>(table)), state.next);
    state.codes_a_bucket = even_share(table) + state.crowd * thinning / next_lookups;
}

/// Codes a bucket, if all buckets had as many.
double MihWalk::even_share(size_t table) const {
    return static_cast<double>(tables_.count) /
           static_cast<double>(tables_.plan.keys(static_cast<int64_t>(table)));
}

/// What the steps before this one have met, by the words of the table's entries.
void MihWalk::list_seen(size_t table) {
    seen_.clear();
    for (size_t other = 0; other < states_.size(); ++other) {
        if (other == table || states_[other].next == 0) continue;
        const std::vector<WordMask>& mask = searcher_.key_mask(other, table);
        seen_.push_back({mask.data(), static_cast<uint32_t>(mask.size()),
                         static_cast<uint32_t>(states_[other].next - 1)});
    }
}

/// Looks up every key at distance `next`. Gives up once it has cost twice a scan.
bool MihWalk::step(size_t table, double scan_nanoseconds, HitSelection& hits) {
    const TableState& state = states_[table];
    const int64_t width = tables_.plan.key_width(static_cast<int64_t>(table));
    const double spent_before = nanoseconds(work_);
    list_seen(table);
    const uint64_t end = uint64_t{1} << width;
    uint64_t flips = (uint64_t{1} << state.next) - 1;
    std::array<uint32_t, keys_at_once> keys;
    while (flips < end) {
        size_t count = 0;
        while (count < keys.size() && flips < end) {
            keys[count] = static_cast<uint32_t>(state.key ^ flips);
            prefetch(tables_.tables[table].starts + keys[count]);
            ++count;
            flips = flips == 0 ? end : next_combination(flips);
        }
        look_up(table, keys.data(), count, static_cast<uint32_t>(state.next), hits);
        if (monitor_ != nullptr) monitor_->advance(0);
        if (nanoseconds(work_) - spent_before > 2 * scan_nanoseconds) return false;
    }
    return true;
}

void MihWalk::look_up(size_t table, const uint32_t* keys, size_t count, uint32_t base,
                      HitSelection& hits) {
    const MihTable& from = tables_.tables[table];
    const auto entry_bytes =
        static_cast<size_t>(tables_.plan.entry_bytes(static_cast<int64_t>(table)));
    const auto* entries = from.entries;
    struct Filled {
        uint64_t begin, count;
    };
    std::array<Filled, keys_at_once> filled;
    size_t filled_count = 0;
    for (size_t i = 0; i < count; ++i) {
        const uint64_t begin = from.starts[keys[i]];
        const uint64_t end = from.starts[keys[i] + size_t{1}];
        if (begin == end) continue;
        filled[filled_count++] = {begin, end - begin};
        if (entry_bytes == 0)
            prefetch_all(from.positions + begin, (end - begin) * sizeof(uint32_t));
        else
            prefetch_all(entries + begin * entry_bytes, (end - begin) * entry_bytes);
    }
    work_.lookups += static_cast<int64_t>(count);
    work_.filled += static_cast<int64_t>(filled_count);
    for (size_t i = 0; i < filled_count; ++i)
        push(table, filled[i].begin, filled[i].count, base, hits);
    flush(table, hits);
}

/// Leaves entries to the next flush().
void MihWalk::push(size_t table, uint64_t begin, uint64_t count, uint32_t base,
                   HitSelection& hits) {
    work_.candidates += static_cast<int64_t>(count);
    while (count > 0) {
        if (pending_entries_ == entries_at_once || pending_buckets_ == buckets_.size())
            flush(table, hits);
        const auto piece = std::min<uint64_t>(count, entries_at_once - pending_entries_);
        if (tables_.rows != nullptr) {
            const auto row_bytes = static_cast<size_t>(bytes_per_code(tables_.plan.bits));
            const uint32_t* positions = tables_.tables[table].positions + begin;
            for (size_t i = 0; i < piece; ++i) {
                numbers_[pending_entries_ + i] = positions[i];
                const uint8_t* row = tables_.rows + size_t{positions[i]} * row_bytes;
                prefetch(row);
                prefetch(row + row_bytes - 1);
            }
        } else {
            buckets_[pending_buckets_++] = {begin, static_cast<uint32_t>(piece), base};
        }
        pending_entries_ += piece;
        begin += piece;
        count -= piece;
    }
}

void MihWalk::flush(size_t table, HitSelection& hits) {
    if (pending_entries_ == 0) return;
    const MihTable& from = tables_.tables[table];
    const std::vector<uint64_t>& query = states_[table].words;
    size_t found = 0;
    switch (tables_.plan.entry) {
        case MihEntry::word:
            found = kernels_.scan_word_buckets(reinterpret_cast<const uint64_t*>(from.entries),
                                               buckets_.data(), pending_buckets_, query[0],
                                               hits.limit(), found_.data());
            break;
        case MihEntry::rest:
            found = kernels_.scan_rest_buckets(
                from.entries,
                static_cast<size_t>(tables_.plan.entry_bytes(static_cast<int64_t>(table))),
                buckets_.data(), pending_buckets_, query[0], hits.limit(), found_.data());
            break;
        case MihEntry::position:
            found = kernels_.scan_rows(
                tables_.rows, static_cast<size_t>(bytes_per_code(tables_.plan.bits)),
                numbers_.data(), pending_entries_, query.data(), hits.limit(), found_.data());
            break;
    }
    pending_buckets_ = 0;
    pending_entries_ = 0;
    work_.near += static_cast<int64_t>(found);
    take(table, found, hits);
}

/// Hands `found` to `hits`, but for what an earlier step has met.
void MihWalk::take(size_t table, size_t found, HitSelection& hits) {
    const MihTable& from = tables_.tables[table];
    const auto entry_bytes =
        static_cast<size_t>(tables_.plan.entry_bytes(static_cast<int64_t>(table)));
    if (found > 0 && !seen_.empty()) {
        const bool in_rows = entry_bytes == 0;
        const auto row_bytes = static_cast<size_t>(bytes_per_code(tables_.plan.bits));
        found = kernels_.drop_seen(found_.data(), found, in_rows ? tables_.rows : from.entries,
                                   in_rows ? row_bytes : entry_bytes, states_[table].words.data(),
                                   seen_.data(), seen_.size());
    }
    for (size_t i = 0; i < found; ++i) {
        auto position = static_cast<int64_t>(hit_position(found_[i]));
        if (entry_bytes != 0) position = from.positions[position];
        if (allowed_ != nullptr && !allowed_->contains(position)) continue;
        hits.add(make_hit(hit_distance(found_[i]), static_cast<uint64_t>(position)));
    }
}

void MihWalk::scan(int64_t first, int64_t last, HitSelection& hits) {
    seen_.clear();
    constexpr int64_t entries_between_checks = 1 << 16;
    const MihTable& from = tables_.tables[0];
    int64_t unchecked = 0;
    if (tables_.plan.entry != MihEntry::rest) {
        for (int64_t begin = first; begin < last; begin += entries_between_checks) {
            const int64_t count = std::min(entries_between_checks, last - begin);
            push(0, static_cast<uint64_t>(begin), static_cast<uint64_t>(count), 0, hits);
            if (monitor_ != nullptr) monitor_->advance(0);
        }
        return flush(0, hits);
    }
    const auto keys = static_cast<uint64_t>(tables_.plan.keys(0));
    const uint32_t* after =
        std::upper_bound(from.starts, from.starts + keys + 1, static_cast<uint32_t>(first));
    for (uint64_t key = static_cast<uint64_t>(after - from.starts) - 1; key < keys; ++key) {
        const int64_t begin = std::max<int64_t>(first, from.starts[key]);
        const int64_t end = std::min<int64_t>(last, from.starts[key + 1]);
        if (begin >= last) break;
        const auto base = static_cast<uint32_t>(std::popcount(key ^ states_[0].key));
        if (begin >= end || base >= hits.limit()) continue;
        push(0, static_cast<uint64_t>(begin), static_cast<uint64_t>(end - begin), base, hits);
        unchecked += end - begin;
        if (monitor_ != nullptr && unchecked >= entries_between_checks) {
            monitor_->advance(0);
            unchecked = 0;
        }
    }
    flush(0, hits);
}

}  // namespace hashcore
