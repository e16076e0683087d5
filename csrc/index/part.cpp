#include "index/part.h"

#include <algorithm>
#include <utility>

#include "index/flat_segment.h"

namespace hashcore {

Part::Part(std::unique_ptr<Segment> segment, IdList ids)
    : segment_(std::move(segment)), ids_(std::move(ids)) {}

Part::Part(const SectionLoader& loader, uint32_t part, std::unique_ptr<Segment> segment)
    : segment_(std::move(segment)), ids_(loader, part), removed_(loader, part) {}

int64_t Part::find(int64_t id) const {
    const int64_t position = ids_.position_of(id);
    return position < 0 || removed_.has(position) ? -1 : position;
}

int64_t Part::next_live(int64_t position) const {
    while (position < count() && removed_.has(position)) ++position;
    return position;
}

CodeBitmap Part::live_bits(CodeBitmap bits) const {
    const int64_t words = std::min(removed_.words(), bits.words());
    for (int64_t i = 0; i < words; ++i) bits.data()[i] &= ~removed_.data()[i];
    return bits;
}

const AllowedCodes* Part::live_codes() const {
    if (removed_.count() == 0) return nullptr;
    const std::lock_guard guard(live_mutex_);
    if (!live_codes_current_) {
        CodeBitmap all(count());
        all.set_all();
        live_codes_ = std::make_unique<const AllowedCodes>(live_bits(std::move(all)));
        live_codes_current_ = true;
    }
    return live_codes_.get();
}

void Part::append(CodesView rows, const std::vector<int64_t>& ids, Monitor* monitor) {
    ids_.reserve(ids);
    try {
        segment_->append(rows, monitor);
    } catch (...) {
        ids_.undo_reserve();
        throw;
    }
    ids_.append(ids);
    live_codes_current_ = false;
}

bool Part::remove(int64_t position) noexcept {
    if (!removed_.insert(position)) return false;
    live_codes_current_ = false;
    return true;
}

std::vector<SectionData> Part::sections(uint32_t part) const {
    std::vector<SectionData> sections = segment_->sections(part);
    if (auto ids = ids_.section(part)) sections.push_back(*std::move(ids));
    if (auto removed = removed_.section(part, count())) sections.push_back(*std::move(removed));
    return sections;
}

std::unique_ptr<Part> merge_flat(const Part& a, const Part& b, Monitor* monitor) {
    constexpr int64_t codes_between_checks = 1 << 16;
    const int64_t total = a.live() + b.live();
    const int64_t bits = a.segment().bits();
    const CodeSource from_a = *a.segment().source();
    const CodeSource from_b = *b.segment().source();
    if (monitor != nullptr) monitor->begin(total);
    WordBuffer blocks(interleaved_words(total, bits));
    std::vector<int64_t> ids;
    ids.reserve(static_cast<size_t>(total));
    for_each_live(a, b, [&](const Part& part, int64_t position) {
        const auto target = static_cast<int64_t>(ids.size());
        (&part == &a ? from_a : from_b).copy_code(position, blocks.data(), target);
        ids.push_back(part.ids().at(position));
        if (monitor != nullptr && (target + 1) % codes_between_checks == 0)
            monitor->advance(codes_between_checks);
    });
    zero_block_from(blocks.data(), total, bits);
    auto merged = std::make_unique<Part>(
        std::make_unique<FlatSegment>(bits, total, std::move(blocks)), IdList(std::move(ids)));
    if (monitor != nullptr) monitor->finish();
    return merged;
}

}  // namespace hashcore
