// An index file that is written in steps, so that a killed build goes on where it was.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/file_io.h"
#include "core/xxh64.h"
#include "hashcore/runtime.h"
#include "index/serialize.h"

namespace hashcore {

/// Writes "<path>.building", whose first page says how far each section is, and makes it `path` at
/// the end. What an error or a kill leaves is taken up by the next build of the same contents, or
/// written anew by one of others.
class FileBuild {
 public:
    /// `contents` identifies what is built: a hash of all that goes in. What is there already is
    /// read again for its checksums; `monitor`, which may be null, can stop that.
    FileBuild(const std::string& path, const IndexHeader& header,
              const std::vector<SectionData>& layout, uint64_t contents, Monitor* monitor);

    uint64_t written(SectionName name) const { return find(name).written; }
    bool whole(SectionName name) const { return find(name).written == find(name).size; }

    /// Appends to a section; bytes that the section lacks at the end are zeros.
    void append(SectionName name, const void* data, uint64_t size);

    /// From here the next build goes on.
    void checkpoint();

    /// Every section is whole: the file gets its name.
    void finish();

 private:
    struct Section {
        SectionName name;
        uint64_t offset, size, written;
        Xxh64 hash;
    };
    const Section& find(SectionName name) const;
    bool resume(Monitor* monitor);

    IndexHeader header_;
    uint64_t contents_;
    WorkFile file_;
    std::vector<Section> sections_;
};

}  // namespace hashcore
