#include "index/serialize.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/xxh64.h"
#include "cpu/kernel_table.h"
#include "hashcore/codes.h"
#include "hashcore/errors.h"

namespace hashcore {
namespace {

constexpr uint64_t chunk_size = uint64_t{4} << 20;  // a multiple of the page and of XXH64's stripe
constexpr std::array<uint8_t, 8> magic = {0x89, 'H', 'C', 'I', 'X', 0x0D, 0x0A, 0x1A};
constexpr uint32_t format_version = 2;
constexpr uint32_t byte_order_mark = 0x01020304;
constexpr uint32_t msb_first = 1;
constexpr size_t table_offset = 128;
constexpr size_t table_offset_v1 = 64;
constexpr size_t table_entry = 32;
constexpr size_t checksum_offset = page_size - 8;

bool all_zero(const uint8_t* first, const uint8_t* last) {
    return std::all_of(first, last, [](uint8_t byte) { return byte == 0; });
}

std::string text(SectionName name) {
    return "section " + std::to_string(static_cast<uint32_t>(name.tag)) + " of part " +
           std::to_string(name.part);
}

/// Writes a section and its padding; returns the checksum over both.
uint64_t write_section(AtomicFile& file, const SectionData& section, Monitor* monitor) {
    Xxh64 hash;
    const auto* bytes = static_cast<const uint8_t*>(section.data);
    std::vector<uint8_t> chunk;
    for (uint64_t done = 0; done < section.size;) {
        uint64_t step = std::min(chunk_size, section.size - done);
        const bool direct = bytes != nullptr && step >= page_size;
        if (direct) {
            step -= step % page_size;
        } else {
            chunk.assign(padded(step), 0);
            if (bytes == nullptr)
                section.produce(done, step, chunk.data());
            else
                std::memcpy(chunk.data(), bytes + done, step);
        }
        const uint8_t* out = direct ? bytes + done : chunk.data();
        hash.update(out, padded(step));
        file.write(out, padded(step));
        done += step;
        if (monitor != nullptr) monitor->advance(static_cast<int64_t>(padded(step)));
    }
    return hash.digest();
}

}  // namespace

void write_index_file(const std::string& path, const IndexHeader& header,
                      const std::vector<SectionData>& sections, Monitor* monitor) {
    uint64_t total = 0;
    for (const SectionData& section : sections) total += padded(section.size);
    if (monitor != nullptr) monitor->begin(static_cast<int64_t>(total));

    AtomicFile file(path);
    constexpr std::array<uint8_t, page_size> unknown{};
    file.write(unknown.data(), unknown.size());  // the header follows once the checksums are known
    std::vector<StoredSection> stored;
    uint64_t offset = page_size;
    for (const SectionData& section : sections) {
        stored.push_back(
            {section.name, offset, section.size, write_section(file, section, monitor)});
        offset += padded(section.size);
    }
    const std::array<uint8_t, page_size> page = header_page(header, stored);
    file.write_at(page.data(), page.size(), 0);
    if (monitor != nullptr) monitor->finish();
    file.commit();
}

std::array<uint8_t, page_size> header_page(const IndexHeader& header,
                                           const std::vector<StoredSection>& sections) {
    std::array<uint8_t, page_size> page{};
    uint64_t end = page_size;
    size_t entry = table_offset;
    for (const StoredSection& section : sections) {
        put(page.data(), entry, static_cast<uint32_t>(section.name.tag));
        put(page.data(), entry + 4, section.name.part);
        put(page.data(), entry + 8, section.offset);
        put(page.data(), entry + 16, section.length);
        put(page.data(), entry + 24, section.checksum);
        end = section.offset + padded(section.length);
        entry += table_entry;
    }
    std::memcpy(page.data(), magic.data(), magic.size());
    put(page.data(), 8, format_version);
    put(page.data(), 12, byte_order_mark);
    put(page.data(), 16, msb_first);
    put(page.data(), 20, static_cast<uint32_t>(header.kind));
    put(page.data(), 24, header.bits);
    put(page.data(), 32, header.parts[base_part].codes);
    put(page.data(), 40, header.next_id);
    put(page.data(), 48, end);
    put(page.data(), 56, static_cast<uint32_t>(sections.size()));
    put(page.data(), 64, header.parts[delta_part].codes);
    put(page.data(), 72, header.parts[base_part].removed);
    put(page.data(), 80, header.parts[delta_part].removed);
    put(page.data(), checksum_offset, xxh64(page.data(), checksum_offset));
    return page;
}

IndexFile::IndexFile(const std::string& path) : path_(path), file_(path) {
    std::array<uint8_t, page_size> page{};
    const uint64_t available = std::min<uint64_t>(file_.size(), page_size);
    file_.read_at(page.data(), available, 0);
    if (available < magic.size() || std::memcmp(page.data(), magic.data(), magic.size()) != 0)
        fail("not a hashcore index file (the first 8 bytes are not its magic)");
    if (available < page_size)
        fail("truncated: " + std::to_string(available) + " bytes, the header alone has 4096");
    parse(page.data());
    check_sections();
}

void IndexFile::fail(const std::string& what) const {
    throw FormatError(path_ + ": " + what);
}

void IndexFile::parse(const uint8_t* page) {
    if (take<uint32_t>(page, 12) != byte_order_mark)
        fail("written on a machine of the other byte order");
    const auto version = take<uint32_t>(page, 8);
    if (version < 1 || version > format_version)
        fail("format version " + std::to_string(version) + "; this hashcore reads versions 1 to " +
             std::to_string(format_version));
    if (take<uint64_t>(page, checksum_offset) != xxh64(page, checksum_offset))
        fail("damaged header (checksum of bytes 0..4087 does not match)");
    if (take<uint32_t>(page, 16) != msb_first) fail("unknown bit order at byte 16");
    const auto kind = take<uint32_t>(page, 20);
    if (kind != static_cast<uint32_t>(FileKind::flat) &&
        kind != static_cast<uint32_t>(FileKind::mih))
        fail("unknown index kind " + std::to_string(kind) + " at byte 20");
    header_ = {static_cast<FileKind>(kind),
               take<int64_t>(page, 24),
               take<int64_t>(page, 40),
               {{{take<int64_t>(page, 32), 0}, {}}}};
    const auto file_length = take<uint64_t>(page, 48);
    if (file_length != file_.size())
        fail((file_.size() < file_length ? "truncated: " : "trailing bytes: ") +
             std::to_string(file_.size()) + " bytes, expected " + std::to_string(file_length));
    if (version == 1) return parse_sections(page, table_offset_v1);
    header_.parts[base_part].removed = take<int64_t>(page, 72);
    header_.parts[delta_part] = {take<int64_t>(page, 64), take<int64_t>(page, 80)};
    if (!all_zero(page + 88, page + table_offset))
        fail("reserved bytes of the header are not zero");
    parse_sections(page, table_offset);
}

void IndexFile::parse_sections(const uint8_t* page, size_t table) {
    const auto section_count = take<uint32_t>(page, 56);
    if (section_count > (checksum_offset - table) / table_entry)
        fail("damaged section count at byte 56");
    const uint8_t* unused = page + table + section_count * table_entry;
    if (take<uint32_t>(page, 60) != 0 || !all_zero(unused, page + checksum_offset))
        fail("reserved bytes of the header are not zero");
    for (uint32_t i = 0; i < section_count; ++i) {
        const uint8_t* entry = page + table + i * table_entry;
        const SectionName name{static_cast<SectionTag>(take<uint32_t>(entry, 0)),
                               take<uint32_t>(entry, 4)};
        if (table == table_offset_v1 && name.part != 0)
            fail("reserved bytes of the header are not zero");
        if (find(name) != nullptr) fail(text(name) + " is there twice");
        sections_.push_back(
            {name, take<uint64_t>(entry, 8), take<uint64_t>(entry, 16), take<uint64_t>(entry, 24)});
    }
}

void IndexFile::check_sections() const {
    uint64_t expected = page_size;
    for (const StoredSection& section : sections_) {
        if (section.offset != expected || section.length > file_.size() - expected ||
            padded(section.length) > file_.size() - expected)
            fail("damaged section table");
        expected += padded(section.length);
    }
    if (expected != file_.size()) fail("damaged section table");
    if (header_.bits < 1 || header_.bits > max_bits || header_.next_id < 0)
        fail("impossible width or next id in the header");
    for (const PartCounts& part : header_.parts)
        if (part.codes < 0 || static_cast<uint64_t>(part.codes) > file_.size() ||
            part.codes >> position_bits != 0 || part.removed < 0 || part.removed > part.codes)
            fail("impossible code count in the header");
}

const StoredSection* IndexFile::find(SectionName name) const {
    const auto found = std::find_if(sections_.begin(), sections_.end(),
                                    [name](const StoredSection& s) { return s.name == name; });
    return found == sections_.end() ? nullptr : &*found;
}

uint64_t IndexFile::length_of(SectionName name) const {
    const StoredSection* section = find(name);
    if (section == nullptr) fail(text(name) + " is missing");
    return section->length;
}

uint64_t IndexFile::offset_of(SectionName name, uint64_t size) const {
    if (length_of(name) != size)
        fail(text(name) + " has " + std::to_string(length_of(name)) + " bytes, expected " +
             std::to_string(size));
    return find(name)->offset;
}

void IndexFile::stream(const StoredSection& section, uint8_t* out, bool verify,
                       Monitor* monitor) const {
    Xxh64 hash;
    std::vector<uint8_t> chunk;
    const uint64_t end = padded(section.length);
    for (uint64_t done = 0; done < end;) {
        const uint64_t step = std::min(chunk_size, end - done);
        const bool direct = out != nullptr && done + step <= section.length;
        if (!direct) chunk.resize(step);
        uint8_t* target = direct ? out + done : chunk.data();
        file_.read_at(target, step, section.offset + done);
        if (verify) hash.update(target, step);
        if (!direct && out != nullptr && done < section.length)
            std::memcpy(out + done, target, section.length - done);
        done += step;
        if (monitor != nullptr) monitor->advance(static_cast<int64_t>(step));
    }
    if (verify && hash.digest() != section.checksum)
        fail("damaged: the checksum of " + text(section.name) + " (bytes " +
             std::to_string(section.offset) + ".." + std::to_string(section.offset + end - 1) +
             ") does not match");
}

void IndexFile::read(SectionName name, void* out, uint64_t size, bool verify,
                     Monitor* monitor) const {
    static_cast<void>(offset_of(name, size));
    stream(*find(name), static_cast<uint8_t*>(out), verify, monitor);
}

void IndexFile::verify_all(Monitor* monitor) const {
    for (const StoredSection& section : sections_) stream(section, nullptr, true, monitor);
}

SectionLoader::SectionLoader(const IndexFile& file, bool map, bool verify, Monitor* monitor)
    : file_(file), verify_(verify), monitor_(monitor) {
    if (monitor != nullptr) monitor->begin(static_cast<int64_t>(file.size()));
    if (!map) return;
    if (verify) file.verify_all(monitor);
    mapping_ = file.map();
}

}  // namespace hashcore
