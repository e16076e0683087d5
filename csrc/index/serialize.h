// The index file: one 4 KiB header with a section table, then the sections, each 4 KiB-aligned so
// that it can be mapped as it is.
//
//   offset  type       field
//        0  u8[8]      magic, 89 'H' 'C' 'I' 'X' 0D 0A 1A
//        8  u32        format version, 1
//       12  u32        byte order mark, 0x01020304 in the writer's order
//       16  u32        bit order, 1: most significant bit first
//       20  u32        kind, 1: flat
//       24  i64        bits
//       32  i64        codes
//       40  i64        next automatic id
//       48  u64        length of the whole file
//       56  u32        sections
//       60  u32        zero
//       64  section[]  { u32 tag, u32 zero, u64 offset, u64 length, u64 checksum } each
//     4088  u64        checksum of bytes 0..4087
//
// Checksums are XXH64. A section's covers its bytes and the zeros up to the next 4 KiB boundary,
// so that every byte of the file is under one checksum.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/file_io.h"
#include "hashcore/runtime.h"

namespace hashcore {

enum class SectionTag : uint32_t { codes = 1, ids = 2 };
enum class FileKind : uint32_t { flat = 1 };

struct IndexHeader {
    FileKind kind;
    int64_t bits;
    int64_t count;
    int64_t next_id;
};

struct SectionData {
    SectionTag tag;
    const void* data;
    uint64_t size;
};

/// Atomic. The monitor counts bytes.
void write_index_file(const std::string& path, const IndexHeader& header,
                      const std::vector<SectionData>& sections, Monitor* monitor);

/// A file whose header and section table have been checked. Every method throws FormatError with
/// the path, what is wrong and where.
class IndexFile {
 public:
    explicit IndexFile(const std::string& path);

    const IndexHeader& header() const { return header_; }
    bool has(SectionTag tag) const;

    /// Checks that the section holds exactly `size` bytes and returns its offset.
    uint64_t offset_of(SectionTag tag, uint64_t size) const;

    /// Reads the section into `out` [size], checking its checksum when `verify`.
    void read(SectionTag tag, void* out, uint64_t size, bool verify, Monitor* monitor) const;

    /// Checks every section's checksum by streaming over the file.
    void verify_all(Monitor* monitor) const;

    std::shared_ptr<const uint8_t> map() const { return file_.map(); }
    uint64_t size() const { return file_.size(); }

    [[noreturn]] void fail(const std::string& what) const;

 private:
    struct Section {
        SectionTag tag;
        uint64_t offset, length, checksum;
    };
    const Section* find(SectionTag tag) const;
    void parse(const uint8_t* page);
    void check_sections() const;
    void stream(const Section& section, uint8_t* out, bool verify, Monitor* monitor) const;

    std::string path_;
    InputFile file_;
    IndexHeader header_{};
    std::vector<Section> sections_;
};

}  // namespace hashcore
