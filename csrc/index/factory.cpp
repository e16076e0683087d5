#include "index/factory.h"

#include <stdexcept>
#include <utility>

#include "hashcore/index.h"
#include "index/flat_segment.h"
#include "index/new_codes.h"
#include "index/stored_index.h"

namespace hashcore {
namespace {

void check_bits(int64_t bits) {
    if (bits < 1 || bits > max_bits)
        throw std::invalid_argument("bits: expected 1..65536; got " + std::to_string(bits));
}

}  // namespace

const char* kind_name(FileKind kind) {
    switch (kind) {
        case FileKind::flat:
            return "flat";
    }
    return "";
}

FileKind choose_kind(const SegmentOptions& options, int64_t, int64_t) {
    // "auto" is the cheapest exact kind there is.
    if (options.kind == "flat" || options.kind == "auto") return FileKind::flat;
    throw std::invalid_argument("kind: expected 'flat' or 'auto'; got '" + options.kind + "'");
}

std::unique_ptr<Segment> make_segment(const SegmentOptions& options, CodesView rows,
                                      Monitor* monitor) {
    switch (choose_kind(options, rows.bits, rows.count)) {
        case FileKind::flat:
            break;
    }
    auto segment = std::make_unique<FlatSegment>(rows.bits);
    segment->append(rows, monitor);
    return segment;
}

std::unique_ptr<Segment> load_segment(const SectionLoader& loader) {
    switch (loader.file().header().kind) {
        case FileKind::flat:
            return std::make_unique<FlatSegment>(loader, base_part);
    }
    loader.file().fail("unknown index kind");
}

std::unique_ptr<Index> make_index(int64_t bits, const std::string& kind, int threads) {
    check_bits(bits);
    SegmentOptions options{kind, threads};
    auto base = make_segment(options, {nullptr, 0, bits}, nullptr);
    return std::make_unique<StoredIndex>(std::move(options), std::move(base), IdList());
}

std::unique_ptr<Index> borrow_codes(CodesView codes, const int64_t* ids,
                                    std::shared_ptr<const void> owner, int threads) {
    check_bits(codes.bits);
    IdList list = IdList::dense(codes.count);
    if (ids != nullptr) {
        for (int64_t i = 0; i + 1 < codes.count; ++i)
            if (ids[i] >= ids[i + 1])
                throw std::invalid_argument("ids: expected ascending ids with copy=False; got " +
                                            std::to_string(ids[i + 1]) + " after " +
                                            std::to_string(ids[i]) + ". Use copy=True.");
        list = IdList(NewCodes(codes, ids, 0).ids());
    }
    return std::make_unique<StoredIndex>(SegmentOptions{"flat", threads},
                                         FlatSegment::borrow(codes, std::move(owner)),
                                         std::move(list));
}

std::unique_ptr<Index> load_index(const std::string& path, bool map, bool verify, int threads,
                                  Monitor* monitor) {
    const IndexFile file(path);
    const SectionLoader loader(file, map, verify, monitor);
    auto index = std::make_unique<StoredIndex>(
        loader, SegmentOptions{kind_name(file.header().kind), threads});
    if (monitor != nullptr) monitor->finish();
    return index;
}

}  // namespace hashcore
