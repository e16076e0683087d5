#include "index/factory.h"

#include <stdexcept>
#include <utility>

#include "hashcore/index.h"
#include "index/flat_segment.h"
#include "index/mih_file.h"
#include "index/mih_segment.h"
#include "index/new_codes.h"
#include "index/stored_index.h"
#include "mih/build.h"
#include "mih/choice.h"

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
        case FileKind::mih:
            return "mih";
    }
    return "";
}

std::optional<MihPlan> plan_tables(const SegmentOptions& options, const CodeSource& codes,
                                   Monitor* monitor) {
    if (options.kind == "flat") return std::nullopt;
    if (options.kind == "mih") return choose_plan(codes, options.mih, options.threads, monitor);
    if (options.kind == "auto")
        return choose_plan_if_faster(codes, options.mih, options.threads, monitor);
    throw std::invalid_argument("kind: expected 'flat', 'mih' or 'auto'; got '" + options.kind +
                                "'");
}

std::unique_ptr<Segment> make_segment(const SegmentOptions& options, CodesView rows,
                                      Monitor* monitor) {
    if (auto plan = plan_tables(options, CodeSource::rows(rows), monitor))
        return std::make_unique<MihSegment>(
            build_mih(std::move(*plan), rows, options.threads, monitor));
    auto segment = std::make_unique<FlatSegment>(rows.bits);
    segment->append(rows, monitor);
    return segment;
}

std::unique_ptr<Segment> load_segment(const SectionLoader& loader) {
    switch (loader.file().header().kind) {
        case FileKind::flat:
            return std::make_unique<FlatSegment>(loader, base_part);
        case FileKind::mih:
            return MihSegment::load(loader);
    }
    loader.file().fail("unknown index kind");
}

std::unique_ptr<Index> make_index(int64_t bits, const std::string& kind, const MihParams& params,
                                  int threads) {
    check_bits(bits);
    check_mih_params(bits, params);
    SegmentOptions options{kind, threads, params};
    auto base = make_segment(options, {nullptr, 0, bits}, nullptr);
    return std::make_unique<StoredIndex>(std::move(options), std::move(base), IdList());
}

namespace {

void check_ascending(const int64_t* ids, int64_t count, const char* advice) {
    for (int64_t i = 0; i + 1 < count; ++i)
        if (ids[i] >= ids[i + 1])
            throw std::invalid_argument("ids: expected ascending ids " + std::string(advice) +
                                        "; got " + std::to_string(ids[i + 1]) + " after " +
                                        std::to_string(ids[i]) + ".");
}

}  // namespace

std::unique_ptr<Index> borrow_codes(CodesView codes, const int64_t* ids,
                                    std::shared_ptr<const void> owner, int threads) {
    check_bits(codes.bits);
    IdList list = IdList::dense(codes.count);
    if (ids != nullptr) {
        check_ascending(ids, codes.count, "with copy=False (else use copy=True)");
        list = IdList(NewCodes(codes, ids, 0).ids());
    }
    return std::make_unique<StoredIndex>(SegmentOptions{"flat", threads},
                                         FlatSegment::borrow(codes, std::move(owner)),
                                         std::move(list));
}

void build_index_file(const std::string& path, const std::string& kind, CodesView codes,
                      const int64_t* ids, const MihParams& params, std::optional<int64_t> memory,
                      int threads, Monitor* monitor) {
    check_bits(codes.bits);
    check_mih_params(codes.bits, params);
    if (ids != nullptr) {
        check_ascending(ids, codes.count, "(sort codes and ids by id first)");
        if (codes.count > 0) NewCodes::check_range(ids[0], ids[codes.count - 1]);
    }
    auto plan = plan_tables({kind, threads, params}, CodeSource::rows(codes), monitor);
    if (!plan) return borrow_codes(codes, ids, nullptr, threads)->save(path, monitor);
    build_mih_file(path, codes, ids, std::move(*plan), memory.value_or(half_of_memory()), threads,
                   monitor);
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
