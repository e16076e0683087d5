#include "mih/build.h"

#include <algorithm>
#include <cstring>

#include "core/large_buffer.h"
#include "core/thread_pool.h"

namespace hashcore {
namespace {

constexpr int64_t rows_between_checks = 1 << 16;

/// The low `bytes` (1..8) bytes of `value`.
void store_bytes(uint64_t value, size_t bytes, uint8_t* to) {
    if (bytes < 4) {
        for (size_t i = 0; i < bytes; ++i) to[i] = static_cast<uint8_t>(value >> (8 * i));
        return;
    }
    const auto low = static_cast<uint32_t>(value);
    const auto high = static_cast<uint32_t>(value >> (8 * (bytes - 4)));
    std::memcpy(to, &low, sizeof low);
    std::memcpy(to + bytes - 4, &high, sizeof high);
}

/// The bytes of a code of at most eight, as a word.
uint64_t load_row(const uint8_t* row, size_t row_bytes) {
    uint64_t word = 0;
    if (row_bytes == 8)
        std::memcpy(&word, row, 8);
    else
        for (size_t i = 0; i < row_bytes; ++i) word |= uint64_t{row[i]} << (8 * i);
    return word;
}

/// How many ranges of codes count for themselves: counters take memory, a set each.
int64_t part_count(int64_t keys, int64_t codes, int threads) {
    constexpr int64_t counter_bytes = int64_t{512} << 20;
    const int64_t most = std::max<int64_t>(1, counter_bytes / (keys * 4));
    return std::clamp<int64_t>(codes / rows_between_checks, 1, std::min<int64_t>(threads, most));
}

}  // namespace

MihTableBuilder::Range MihTableBuilder::range(int64_t part) const {
    return {codes_.count * part / parts_, codes_.count * (part + 1) / parts_};
}

/// Calls visit(position, row, key) for the rows of a part.
template <class Visit>
void MihTableBuilder::for_each_row(int64_t part, const Visit& visit) const {
    const int64_t row_bytes = bytes_per_code(codes_.bits);
    const Range rows = range(part);
    for (int64_t begin = rows.begin; begin < rows.end; begin += rows_between_checks) {
        const int64_t end = std::min(rows.end, begin + rows_between_checks);
        const uint8_t* row = codes_.data + begin * row_bytes;
        for (int64_t position = begin; position < end; ++position, row += row_bytes)
            visit(position, row, static_cast<size_t>(key_of_(row)));
        if (monitor_ != nullptr) monitor_->advance(end - begin);
    }
}

MihTableBuilder::MihTableBuilder(const MihPlan& plan, int64_t table, CodesView codes, int threads,
                                 Monitor* monitor)
    : plan_(plan),
      table_(table),
      codes_(codes),
      threads_(resolve_threads(threads)),
      monitor_(monitor),
      key_of_(plan.key_bits[static_cast<size_t>(table)]),
      parts_(part_count(plan.keys(table), codes.count, threads_)),
      starts_(static_cast<size_t>(plan.keys(table) + 1)),
      next_(static_cast<size_t>(parts_)) {
    parallel_for(parts_, threads_, monitor_, [&](int64_t part) {
        std::vector<uint32_t>& counts = next_[static_cast<size_t>(part)];
        counts.resize(static_cast<size_t>(plan_.keys(table_)));
        for_each_row(part, [&](int64_t, const uint8_t*, size_t key) { ++counts[key]; });
    });
    uint32_t start = 0;
    for (size_t key = 0; key + 1 < starts_.size(); ++key) {
        starts_[key] = start;
        for (std::vector<uint32_t>& next : next_) {
            const uint32_t count = next[key];
            next[key] = start;
            start += count;
        }
    }
    starts_.back() = start;
}

template <class Put>
void MihTableBuilder::scatter(int64_t first, int64_t last, uint32_t* positions, const Put& put) {
    if (first == last) return;
    const auto key_of_entry = [&](int64_t entry) {
        const auto past =
            std::upper_bound(starts_.begin(), starts_.end(), static_cast<uint32_t>(entry));
        return static_cast<size_t>(past - starts_.begin() - 1);
    };
    const size_t first_key = key_of_entry(first);
    const size_t last_key = key_of_entry(last - 1);
    const auto begin = static_cast<uint32_t>(first);
    const auto count = static_cast<uint32_t>(last - first);
    parallel_for(parts_, threads_, monitor_, [&](int64_t part) {
        uint32_t* next = next_[static_cast<size_t>(part)].data();
        const uint32_t next_of_last = next[last_key];
        for_each_row(part, [&](int64_t position, const uint8_t* row, size_t key) {
            if (key - first_key > last_key - first_key) return;
            const uint32_t entry = next[key]++ - begin;
            if (entry >= count) return;  // of a key that two slices share
            positions[entry] = static_cast<uint32_t>(position);
            put(entry, row);
        });
        next[last_key] = next_of_last;
    });
}

void MihTableBuilder::fill(int64_t first, int64_t last, uint8_t* entries, uint32_t* positions) {
    switch (plan_.entry) {
        case MihEntry::word: {
            const auto row_bytes = static_cast<size_t>(bytes_per_code(codes_.bits));
            auto* words = reinterpret_cast<uint64_t*>(entries);
            return scatter(first, last, positions, [&](size_t entry, const uint8_t* row) {
                words[entry] = load_row(row, row_bytes);
            });
        }
        case MihEntry::rest: {
            const BitGather rest_of(plan_.rest_bits(table_));
            const auto bytes = static_cast<size_t>(plan_.entry_bytes(table_));
            return scatter(first, last, positions, [&](size_t entry, const uint8_t* row) {
                store_bytes(rest_of(row), bytes, entries + entry * bytes);
            });
        }
        case MihEntry::position:
            return scatter(first, last, positions, [](size_t, const uint8_t*) {});
    }
}

MihTables build_mih(MihPlan plan, CodesView codes, int threads, Monitor* monitor) {
    MihTables built;
    built.plan = std::move(plan);
    built.count = codes.count;
    const auto keep = [&](const LargeBuffer& buffer) {
        built.owners.push_back(std::make_shared<LargeBuffer>(buffer));
        return buffer;
    };
    if (monitor != nullptr) monitor->begin(2 * codes.count * built.plan.tables());
    const auto count = static_cast<size_t>(codes.count);
    for (int64_t table = 0; table < built.plan.tables(); ++table) {
        MihTableBuilder builder(built.plan, table, codes, threads, monitor);
        const auto entry_bytes = static_cast<size_t>(built.plan.entry_bytes(table));
        const LargeBuffer entries = keep(LargeBuffer(count * entry_bytes + mih_slack));
        const LargeBuffer positions = keep(LargeBuffer(count * sizeof(uint32_t)));
        builder.fill(0, codes.count, entries.as<uint8_t>(), positions.as<uint32_t>());
        const auto& starts = builder.starts();
        const LargeBuffer directory = keep(LargeBuffer(starts.size() * sizeof(uint32_t)));
        std::copy(starts.begin(), starts.end(), directory.as<uint32_t>());
        built.tables.push_back({directory.as<uint32_t>(),
                                entry_bytes == 0 ? nullptr : entries.as<uint8_t>(),
                                positions.as<uint32_t>()});
    }
    if (built.plan.entry == MihEntry::position) {
        const size_t bytes = count * static_cast<size_t>(bytes_per_code(codes.bits));
        const LargeBuffer rows = keep(LargeBuffer(bytes + mih_slack));
        std::copy_n(codes.data, bytes, rows.as<uint8_t>());
        built.rows = rows.as<uint8_t>();
    }
    if (monitor != nullptr) monitor->finish();
    return built;
}

}  // namespace hashcore
