#include "index/file_build.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "core/pages.h"

namespace hashcore {
namespace {

constexpr std::array<uint8_t, 8> work_magic = {0x89, 'H', 'C', 'W', 'R', 'K', 0x0D, 0x0A};
constexpr size_t contents_at = 8;
constexpr size_t progress_at = 16;  // a section: u64 bytes written, u64 their XXH64
constexpr size_t checksum_at = page_size - 8;
constexpr uint64_t chunk_size = uint64_t{4} << 20;

}  // namespace

FileBuild::FileBuild(const std::string& path, const IndexHeader& header,
                     const std::vector<SectionData>& layout, uint64_t contents, Monitor* monitor)
    : header_(header), contents_(contents), file_(path) {
    uint64_t offset = page_size;
    for (const SectionData& section : layout) {
        sections_.push_back({section.name, offset, section.size, 0, {}});
        offset += padded(section.size);
    }
    if (!resume(monitor)) {
        file_.clear();
        checkpoint();
    }
}

const FileBuild::Section& FileBuild::find(SectionName name) const {
    return *std::find_if(sections_.begin(), sections_.end(),
                         [name](const Section& section) { return section.name == name; });
}

/// Takes up what an earlier build of the same contents left; false where that is not whole.
bool FileBuild::resume(Monitor* monitor) {
    std::array<uint8_t, page_size> page{};
    if (file_.size() < page_size) return false;
    file_.read_at(page.data(), page.size(), 0);
    const bool ours = std::memcmp(page.data(), work_magic.data(), work_magic.size()) == 0 &&
                      take<uint64_t>(page.data(), checksum_at) == xxh64(page.data(), checksum_at) &&
                      take<uint64_t>(page.data(), contents_at) == contents_;
    if (!ours) return false;
    std::vector<Section> found = sections_;
    std::vector<uint8_t> chunk(chunk_size);
    size_t at = progress_at;
    for (Section& section : found) {
        const auto written = take<uint64_t>(page.data(), at);
        const auto checksum = take<uint64_t>(page.data(), at + 8);
        at += 16;
        const bool there = written == 0 || section.offset + written <= file_.size();
        if (written > section.size || !there) return false;
        while (section.written < written) {
            const uint64_t step = std::min(chunk_size, written - section.written);
            file_.read_at(chunk.data(), step, section.offset + section.written);
            section.hash.update(chunk.data(), step);
            section.written += step;
            if (monitor != nullptr) monitor->advance(0);
        }
        if (section.hash.digest() != checksum) return false;
    }
    sections_ = std::move(found);
    return true;
}

void FileBuild::append(SectionName name, const void* data, uint64_t size) {
    auto& section = const_cast<Section&>(find(name));
    const auto* bytes = static_cast<const uint8_t*>(data);
    section.hash.update(bytes, size);
    file_.write_at(bytes, size, section.offset + section.written);
    section.written += size;
}

void FileBuild::checkpoint() {
    file_.sync();
    std::array<uint8_t, page_size> page{};
    std::memcpy(page.data(), work_magic.data(), work_magic.size());
    put(page.data(), contents_at, contents_);
    size_t at = progress_at;
    for (const Section& section : sections_) {
        put(page.data(), at, section.written);
        put(page.data(), at + 8, section.hash.digest());
        at += 16;
    }
    put(page.data(), checksum_at, xxh64(page.data(), checksum_at));
    file_.write_at(page.data(), page.size(), 0);
    file_.sync();
}

void FileBuild::finish() {
    constexpr std::array<uint8_t, 2 * page_size> zeros{};
    std::vector<StoredSection> stored;
    for (Section& section : sections_) {
        const uint64_t missing = padded(section.size) - section.written;
        section.hash.update(zeros.data(), missing);
        file_.write_at(zeros.data(), missing, section.offset + section.written);
        stored.push_back({section.name, section.offset, section.size, section.hash.digest()});
    }
    file_.sync();
    const std::array<uint8_t, page_size> page = header_page(header_, stored);
    file_.write_at(page.data(), page.size(), 0);
    file_.commit();
}

}  // namespace hashcore
