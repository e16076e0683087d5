#include "metrics/graded_pairs.h"

#include <bit>

namespace hashcore {
namespace {

std::vector<uint32_t> set_sizes(CodesView sets) {
    const int64_t bytes = bytes_per_code(sets.bits);
    std::vector<uint32_t> sizes(static_cast<size_t>(sets.count));
    for (int64_t i = 0; i < sets.count; ++i)
        for (const uint8_t* byte = sets.data + i * bytes; byte < sets.data + (i + 1) * bytes;
             ++byte)
            sizes[static_cast<size_t>(i)] += static_cast<uint32_t>(std::popcount(*byte));
    return sizes;
}

uint32_t largest(const std::vector<uint32_t>& values) {
    return values.empty() ? 0 : *std::max_element(values.begin(), values.end());
}

}  // namespace

GradedPairs::GradedPairs(const LabelledCodes& queries, const LabelledCodes& database,
                         uint32_t grade_limit)
    : table_(kernels()),
      query_count_(queries.codes.count),
      max_grade_(1),
      codes_(CodeSource::rows(database.codes)),
      query_words_(row_words(queries.codes)),
      query_ids_(queries.labels.ids),
      item_ids_(database.labels.ids),
      sets_(CodeSource::rows(database.labels.sets)) {
    if (query_ids_ != nullptr) return;
    query_sets_ = row_words(queries.labels.sets);
    query_set_sizes_ = set_sizes(queries.labels.sets);
    empty_set_.resize(static_cast<size_t>(sets_.words()));
    if (grade_limit > 1)
        max_grade_ = std::clamp(
            std::min(largest(query_set_sizes_), largest(set_sizes(database.labels.sets))), 1U,
            grade_limit);
}

int64_t GradedPairs::tile_items() const {
    return query_ids_ != nullptr ? codes_.tile_codes()
                                 : std::min(codes_.tile_codes(), sets_.tile_codes());
}

void GradedPairs::load(int64_t first, int64_t count, Tile& tile) const {
    tile.first = first;
    tile.count = count;
    tile.codes = codes_.tile(first, count, tile.code_scratch);
    if (query_ids_ != nullptr) return;
    tile.sets = sets_.tile(first, count, tile.set_scratch);
    table_.distances(tile.sets, static_cast<size_t>(blocks_for(count)),
                     static_cast<size_t>(sets_.words()), empty_set_.data(), tile.set_sizes.data());
}

void GradedPairs::compare(int64_t query, Tile& tile) const {
    const auto blocks = static_cast<size_t>(blocks_for(tile.count));
    const auto count = static_cast<size_t>(tile.count);
    table_.distances(tile.codes, blocks, static_cast<size_t>(codes_.words()),
                     query_words_.data() + query * codes_.words(), tile.distances.data());
    uint32_t* grades = tile.grades.data();
    if (query_ids_ != nullptr) {
        const uint32_t id = query_ids_[query];
        const uint32_t* items = item_ids_ + tile.first;
        for (size_t i = 0; i < count; ++i) grades[i] = items[i] == id ? 1 : 0;
        return;
    }
    table_.distances(tile.sets, blocks, static_cast<size_t>(sets_.words()),
                     query_sets_.data() + query * sets_.words(), grades);
    const uint32_t size = query_set_sizes_[static_cast<size_t>(query)];
    const uint32_t* sizes = tile.set_sizes.data();
    const uint32_t limit = max_grade_;
    for (size_t i = 0; i < count; ++i)
        grades[i] = std::min((size + sizes[i] - grades[i]) / 2, limit);
}

}  // namespace hashcore
