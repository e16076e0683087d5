// The index file: one 4 KiB header with a section table, then the sections, each 4 KiB-aligned so
// that it can be mapped as it is.
//
//   offset  type       field
//        0  u8[8]      magic, 89 'H' 'C' 'I' 'X' 0D 0A 1A
//        8  u32        format version, 2
//       12  u32        byte order mark, 0x01020304 in the writer's order
//       16  u32        bit order, 1: most significant bit first
//       20  u32        kind of the base, 1: flat, 2: mih; the delta is flat
//       24  i64        bits
//       32  i64        codes of the base, removed ones too
//       40  i64        next automatic id
//       48  u64        length of the whole file
//       56  u32        sections
//       60  u32        zero
//       64  i64        codes of the delta, removed ones too
//       72  i64        removed codes of the base
//       80  i64        removed codes of the delta
//       88  u8[40]     zero
//      128  section[]  { u32 tag, u32 part, u64 offset, u64 length, u64 checksum } each
//     4088  u64        checksum of bytes 0..4087
//
//   tag  section, one for the base (part 0) and one for the delta (part 1)
//     1  codes of a flat segment, in ascending id order: blocks of eight, word w of code i at
//        (i / 8 * words + w) * 8 + i % 8, zeros behind the last code
//     2  ids, i64 each, ascending; absent where they are 0, 1, 2, ...
//     3  removed codes: bit i % 64 of u64 i / 64, zeros behind the last code; absent where none is
//
//   tag  section of a multi-index hash; `part` is the table
//    16  plan, part 0: u32 entry kind, u32 layout (0 fast, 1 compact), u32 radius that searches are
//        expected to go to, u32 tables, then u32 width and u32[width] code bits of each table's
//        key, ascending; bit i of a key's value is the i-th of them
//    17  u32[2^width + 1], the first entry of each key
//    18  entries in key order, then 64 zeros; of kind 1 the code as a u64, of kind 2 the bits that
//        are not in the key in whole bytes, of kind 3 the section is absent
//    19  u32 each, the position of an entry's code in ascending id order
//    20  codes as packed rows in ascending id order, part 0, then 64 zeros; of kind 3 only
//
// Version 1 has the section table at byte 64 and no delta and no removed codes; `part` is zero.
//
// Checksums are XXH64. A section's covers its bytes and the zeros up to the next 4 KiB boundary,
// so that every byte of the file is under one checksum.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/file_io.h"
#include "core/pages.h"
#include "hashcore/runtime.h"

namespace hashcore {

enum class SectionTag : uint32_t {
    codes = 1,
    ids = 2,
    removed = 3,
    mih_plan = 16,
    mih_starts = 17,
    mih_entries = 18,
    mih_positions = 19,
    mih_rows = 20,
};
enum class FileKind : uint32_t { flat = 1, mih = 2 };

struct SectionName {
    SectionTag tag;
    uint32_t part;  ///< base_part or delta_part
    bool operator==(const SectionName&) const = default;
};
inline constexpr uint32_t base_part = 0;
inline constexpr uint32_t delta_part = 1;

struct PartCounts {
    int64_t codes = 0;  ///< removed ones too
    int64_t removed = 0;
};

struct IndexHeader {
    FileKind kind;
    int64_t bits;
    int64_t next_id;
    std::array<PartCounts, 2> parts;
};

struct SectionData {
    /// Writes bytes [offset, offset + size) of the section to `out`.
    using Produce = std::function<void(uint64_t offset, uint64_t size, uint8_t* out)>;

    SectionName name;
    const void* data;  ///< null: `produce` makes the bytes
    uint64_t size;
    Produce produce = {};
};

/// A section where it lies in a file.
struct StoredSection {
    SectionName name;
    uint64_t offset, length, checksum;
};

/// The first page of a file with such sections, which follow each other.
std::array<uint8_t, page_size> header_page(const IndexHeader& header,
                                           const std::vector<StoredSection>& sections);

/// Atomic. The monitor counts bytes.
void write_index_file(const std::string& path, const IndexHeader& header,
                      const std::vector<SectionData>& sections, Monitor* monitor);

/// A file whose header and section table have been checked. Every method throws FormatError with
/// the path, what is wrong and where.
class IndexFile {
 public:
    explicit IndexFile(const std::string& path);

    const IndexHeader& header() const { return header_; }
    bool has(SectionName name) const { return find(name) != nullptr; }

    uint64_t length_of(SectionName name) const;

    /// Checks that the section holds exactly `size` bytes and returns its offset.
    uint64_t offset_of(SectionName name, uint64_t size) const;

    /// Reads the section into `out` [size], checking its checksum when `verify`.
    void read(SectionName name, void* out, uint64_t size, bool verify, Monitor* monitor) const;

    /// Checks every section's checksum by streaming over the file.
    void verify_all(Monitor* monitor) const;

    std::shared_ptr<const uint8_t> map() const { return file_.map(); }
    uint64_t size() const { return file_.size(); }

    [[noreturn]] void fail(const std::string& what) const;

 private:
    const StoredSection* find(SectionName name) const;
    void parse(const uint8_t* page);
    void parse_sections(const uint8_t* page, size_t table);
    void check_sections() const;
    void stream(const StoredSection& section, uint8_t* out, bool verify, Monitor* monitor) const;

    std::string path_;
    InputFile file_;
    IndexHeader header_{};
    std::vector<StoredSection> sections_;
};

/// Takes sections out of a file: where they lie when it is mapped, else into memory.
class SectionLoader {
 public:
    /// Begins `monitor`, which may be null, and with `map` and `verify` checks every checksum.
    SectionLoader(const IndexFile& file, bool map, bool verify, Monitor* monitor);

    const IndexFile& file() const { return file_; }
    bool maps() const { return mapping_ != nullptr; }
    bool verifies() const { return verify_; }  ///< whether contents are to be checked

    /// Where the section of `count` values lies; maps() is true.
    template <class T>
    std::shared_ptr<const T> mapped(SectionName name, int64_t count) const {
        return {mapping_, reinterpret_cast<const T*>(mapping_.get() + offset<T>(name, count))};
    }

    /// Reads the section of `count` values to what allocate(), called once its length has been
    /// checked, returns.
    template <class T, class Allocate>
    void read(SectionName name, int64_t count, const Allocate& allocate) const {
        static_cast<void>(offset<T>(name, count));
        T* out = allocate();
        file_.read(name, out, static_cast<uint64_t>(count) * sizeof(T), verify_, monitor_);
    }

 private:
    template <class T>
    uint64_t offset(SectionName name, int64_t count) const {
        return file_.offset_of(name, static_cast<uint64_t>(count) * sizeof(T));
    }

    const IndexFile& file_;
    const bool verify_;
    Monitor* const monitor_;
    std::shared_ptr<const uint8_t> mapping_;
};

}  // namespace hashcore
