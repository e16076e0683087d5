#include "cpu/filtered_source.h"

namespace hashcore {
namespace {

/// Costs of one code, in those of comparing one word with one of many queries: reading it from
/// memory in order takes about 25 a word, gathering it 150 and 150 a word.
bool gathering_pays(const AllowedCodes& allowed, int64_t words, int64_t query_count) {
    const auto scans = static_cast<double>(words * query_count);
    const auto read = static_cast<double>(25 * words);
    const auto gather = static_cast<double>(150 + 150 * words);
    return static_cast<double>(allowed.total()) * (gather + scans) <
           static_cast<double>(allowed.in_reach()) * (read + scans);
}

}  // namespace

FilteredSource::FilteredSource(const CodeSource& source, const AllowedCodes* allowed,
                               int64_t query_count)
    : FilteredSource(source, allowed,
                     allowed != nullptr && gathering_pays(*allowed, source.words(), query_count)) {}

Tile FilteredSource::tile(int64_t begin, int64_t count, WordBuffer& scratch) const {
    if (allowed_ == nullptr) return {source_.tile(begin, count, scratch), count, nullptr};
    if (!gathers_) {
        const int64_t allowed = allowed_->count_in(begin, count);
        if (allowed == 0) return {nullptr, 0, nullptr};
        const uint8_t* masks = allowed == count ? nullptr : allowed_->block_masks(begin);
        return {source_.tile(begin, count, scratch), count, masks};
    }
    const int64_t needed = interleaved_words(count, bits());
    if (scratch.size() < needed) scratch = WordBuffer(needed);
    int64_t target = 0;
    allowed_->for_each(begin, count, [&](int64_t position) {
        source_.copy_code(position, scratch.data(), target++);
    });
    return {scratch.data(), count, nullptr};
}

}  // namespace hashcore
