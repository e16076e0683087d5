#include "index/mih_sections.h"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

#include "core/large_buffer.h"
#include "hashcore/codes.h"

namespace hashcore {
namespace {

constexpr size_t record_head = 4;

SectionName plan_section() {
    return {SectionTag::mih_plan, 0};
}

SectionName rows_section() {
    return {SectionTag::mih_rows, 0};
}

SectionName table_section(SectionTag tag, int64_t table) {
    return {tag, static_cast<uint32_t>(table)};
}

/// A plan that breaks no rule; `file` says what is wrong with another.
MihPlan read_plan(const IndexFile& file, const std::vector<uint32_t>& record) {
    const auto check = [&](bool holds) {
        if (!holds) file.fail("the plan of the hash tables breaks its rules");
    };
    MihPlan plan;
    plan.bits = file.header().bits;
    check(record.size() >= record_head);
    plan.entry = static_cast<MihEntry>(record[0]);
    check(record[1] <= 1);
    plan.layout = static_cast<MihParams::Layout>(record[1]);
    check(record[2] <= plan.bits);
    plan.radius = record[2];
    const bool narrow = plan.entry == MihEntry::word || plan.entry == MihEntry::rest;
    check(plan.bits > 64 ? plan.entry == MihEntry::position : narrow);
    check(record[3] >= 1 && record[3] <= max_mih_tables);
    std::vector<bool> taken(static_cast<size_t>(plan.bits));
    size_t at = record_head;
    for (uint32_t table = 0; table < record[3]; ++table) {
        check(at < record.size());
        const uint32_t width = record[at++];
        check(width >= 1 && width <= max_key_bits && width <= record.size() - at);
        std::vector<uint32_t> key(record.begin() + static_cast<int64_t>(at),
                                  record.begin() + static_cast<int64_t>(at + width));
        at += width;
        check(std::adjacent_find(key.begin(), key.end(), std::greater_equal<>()) == key.end());
        for (const uint32_t bit : key) {
            check(bit < plan.bits && !taken[bit]);
            taken[bit] = true;
        }
        plan.key_bits.push_back(std::move(key));
    }
    check(at == record.size());
    return plan;
}

/// Takes sections where they lie in a mapped file, or into memory of `tables`.
class TableLoader {
 public:
    TableLoader(const SectionLoader& loader, MihTables& tables)
        : loader_(loader), tables_(tables) {}

    template <class T>
    const T* take(SectionName name, int64_t count) {
        if (loader_.maps()) {
            const std::shared_ptr<const T> mapped = loader_.mapped<T>(name, count);
            tables_.owners.push_back(mapped);
            return mapped.get();
        }
        LargeBuffer buffer;
        loader_.read<T>(name, count, [&] {
            buffer = LargeBuffer(static_cast<size_t>(count) * sizeof(T));
            return buffer.as<T>();
        });
        tables_.owners.push_back(std::make_shared<LargeBuffer>(buffer));
        return buffer.as<T>();
    }

 private:
    const SectionLoader& loader_;
    MihTables& tables_;
};

/// What the checksums cannot tell. Entries are not compared with their keys.
void check_table(const IndexFile& file, const MihTables& tables, int64_t table) {
    const MihTable& from = tables.tables[static_cast<size_t>(table)];
    const int64_t keys = tables.plan.keys(table);
    const auto count = static_cast<uint32_t>(tables.count);
    if (from.starts[0] != 0 || from.starts[keys] != count ||
        !std::is_sorted(from.starts, from.starts + keys + 1))
        file.fail("the directory of hash table " + std::to_string(table) + " breaks its rules");
    if (std::any_of(from.positions, from.positions + tables.count,
                    [count](uint32_t position) { return position >= count; }))
        file.fail("hash table " + std::to_string(table) + " names a code that is not there");
}

}  // namespace

std::vector<uint32_t> record_plan(const MihPlan& plan) {
    std::vector<uint32_t> record = {
        static_cast<uint32_t>(plan.entry), static_cast<uint32_t>(plan.layout),
        static_cast<uint32_t>(plan.radius), static_cast<uint32_t>(plan.tables())};
    for (const auto& key : plan.key_bits) {
        record.push_back(static_cast<uint32_t>(key.size()));
        record.insert(record.end(), key.begin(), key.end());
    }
    return record;
}

std::vector<SectionData> mih_layout(const MihPlan& plan, int64_t count) {
    const auto codes = static_cast<uint64_t>(count);
    std::vector<SectionData> sections = {
        {plan_section(), nullptr, record_plan(plan).size() * sizeof(uint32_t)}};
    for (int64_t table = 0; table < plan.tables(); ++table) {
        const auto keys = static_cast<uint64_t>(plan.keys(table));
        const auto entry_bytes = static_cast<uint64_t>(plan.entry_bytes(table));
        sections.push_back(
            {table_section(SectionTag::mih_starts, table), nullptr, (keys + 1) * sizeof(uint32_t)});
        if (entry_bytes > 0)
            sections.push_back({table_section(SectionTag::mih_entries, table), nullptr,
                                codes * entry_bytes + mih_slack});
        sections.push_back(
            {table_section(SectionTag::mih_positions, table), nullptr, codes * sizeof(uint32_t)});
    }
    if (plan.entry == MihEntry::position)
        sections.push_back({rows_section(), nullptr,
                            codes * static_cast<uint64_t>(bytes_per_code(plan.bits)) + mih_slack});
    return sections;
}

std::vector<SectionData> mih_sections(const MihTables& tables,
                                      const std::vector<uint32_t>& record) {
    std::vector<SectionData> sections = mih_layout(tables.plan, tables.count);
    for (SectionData& section : sections) {
        switch (section.name.tag) {
            case SectionTag::mih_plan:
                section.data = record.data();
                break;
            case SectionTag::mih_starts:
                section.data = tables.tables[section.name.part].starts;
                break;
            case SectionTag::mih_entries:
                section.data = tables.tables[section.name.part].entries;
                break;
            case SectionTag::mih_positions:
                section.data = tables.tables[section.name.part].positions;
                break;
            default:
                section.data = tables.rows;
        }
    }
    return sections;
}

MihTables load_mih(const SectionLoader& loader) {
    const IndexFile& file = loader.file();
    const int64_t count = file.header().parts[base_part].codes;
    if (count > max_mih_codes) file.fail("more codes than a multi-index hash can number");
    constexpr uint64_t largest_record =
        record_head + max_mih_tables * (1 + static_cast<uint64_t>(max_key_bits));
    const uint64_t record_bytes = file.length_of(plan_section());
    if (record_bytes % sizeof(uint32_t) != 0 || record_bytes / sizeof(uint32_t) > largest_record)
        file.fail("the plan of the hash tables breaks its rules");
    const auto record_size = static_cast<int64_t>(record_bytes / sizeof(uint32_t));

    MihTables tables;
    tables.count = count;
    TableLoader sections(loader, tables);
    const auto* record = sections.take<uint32_t>(plan_section(), record_size);
    tables.plan = read_plan(file, {record, record + record_size});
    for (int64_t table = 0; table < tables.plan.tables(); ++table) {
        MihTable loaded;
        loaded.starts = sections.take<uint32_t>(table_section(SectionTag::mih_starts, table),
                                                tables.plan.keys(table) + 1);
        if (const int64_t bytes = tables.plan.entry_bytes(table); bytes > 0)
            loaded.entries = sections.take<uint8_t>(table_section(SectionTag::mih_entries, table),
                                                    count * bytes + mih_slack);
        loaded.positions =
            sections.take<uint32_t>(table_section(SectionTag::mih_positions, table), count);
        tables.tables.push_back(loaded);
        if (loader.verifies()) check_table(file, tables, table);
    }
    if (tables.plan.entry == MihEntry::position)
        tables.rows = sections.take<uint8_t>(rows_section(),
                                             count * bytes_per_code(tables.plan.bits) + mih_slack);
    return tables;
}

}  // namespace hashcore
