#include "metrics/relevance.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "metrics/sliced_counts.h"

namespace hashcore {
namespace {

constexpr int64_t words_for(int64_t items) {
    return (items + mask_items - 1) / mask_items;
}

/// Calls visit(class) for every class of a set, ascending; returns their number.
template <class Visit>
uint32_t for_each_class(CodesView sets, int64_t row, const Visit& visit) {
    const uint8_t* bytes = sets.data + row * bytes_per_code(sets.bits);
    uint32_t count = 0;
    for (int64_t i = 0; i < bytes_per_code(sets.bits); ++i)
        for (unsigned left = bytes[i]; left != 0; ++count) {
            const auto bit = static_cast<unsigned>(std::countl_zero(static_cast<uint8_t>(left)));
            visit(static_cast<uint32_t>(i) * 8 + bit);
            left &= ~(0x80U >> bit);
        }
    return count;
}

/// Bit i of the result is flags[i], 0 or 1.
uint64_t as_bits(const std::array<uint8_t, mask_items>& flags) {
    static_assert(std::endian::native == std::endian::little);
    uint64_t bits = 0;
    for (size_t i = 0; i < flags.size(); i += 8) {
        uint64_t eight;
        std::memcpy(&eight, flags.data() + i, 8);
        bits |= (eight * 0x0102040810204080 >> 56) << i;  // gathers the lowest bit of every byte
    }
    return bits;
}

/// The largest grade from which on there are `wanted` items, else 1.
uint32_t least_of_interest(const std::vector<int64_t>& totals, int64_t wanted) {
    auto grade = static_cast<uint32_t>(totals.size()) - 1;
    for (int64_t items = totals[grade]; items < wanted && grade > 1; items += totals[grade])
        --grade;
    return grade;
}

}  // namespace

Relevance::Relevance(const LabelledCodes& queries, const LabelledCodes& database, bool graded)
    : table_(kernels()),
      queries_(queries.labels),
      database_(database.labels),
      item_count_(database.codes.count),
      item_words_(words_for(item_count_)) {
    if (queries_.ids != nullptr) return;
    members_.resize(static_cast<size_t>(queries_.sets.bits * item_words_));
    uint32_t largest_item = 0;
    for (int64_t item = 0; item < item_count_; ++item) {
        uint64_t* word = members_.data() + item / mask_items;
        const uint64_t bit = uint64_t{1} << item % mask_items;
        largest_item = std::max(largest_item, for_each_class(database_.sets, item, [&](uint32_t c) {
                                    word[c * item_words_] |= bit;
                                }));
    }
    uint32_t largest_query = 0;
    first_class_.push_back(0);
    for (int64_t query = 0; query < queries.codes.count; ++query) {
        largest_query = std::max(
            largest_query,
            for_each_class(queries_.sets, query, [&](uint32_t c) { query_classes_.push_back(c); }));
        first_class_.push_back(query_classes_.size());
    }
    if (graded) max_grade_ = std::max(1U, std::min(largest_query, largest_item));
}

Relevance::Classes Relevance::classes(int64_t query) const {
    const size_t* first = first_class_.data() + query;
    return {query_classes_.data() + first[0], query_classes_.data() + first[1]};
}

void Relevance::mask(int64_t query, int64_t first, int64_t count, uint64_t* words) const {
    const int64_t word_count = words_for(count);
    if (queries_.ids != nullptr) return match_ids(query, first, count, words);
    std::fill_n(words, word_count, uint64_t{0});
    const Classes of_query = classes(query);
    for (const uint32_t* c = of_query.begin; c != of_query.end; ++c) {
        const uint64_t* items = members(*c) + first / mask_items;
        for (int64_t w = 0; w < word_count; ++w) words[w] |= items[w];
    }
}

void Relevance::match_ids(int64_t query, int64_t first, int64_t count, uint64_t* words) const {
    const uint32_t id = queries_.ids[query];
    const uint32_t* items = database_.ids + first;
    std::array<uint8_t, mask_items> equal{};
    for (; count > 0; count -= mask_items, items += mask_items) {
        if (count < mask_items) equal.fill(0);
        for (size_t i = 0; i < static_cast<size_t>(std::min(count, mask_items)); ++i)
            equal[i] = items[i] == id ? 1 : 0;
        *words++ = as_bits(equal);
    }
}

uint32_t Relevance::grade(int64_t query, int64_t item) const {
    if (queries_.ids != nullptr) return queries_.ids[query] == database_.ids[item] ? 1 : 0;
    const Classes of_query = classes(query);
    uint64_t shared = 0;
    for (const uint32_t* c = of_query.begin; c != of_query.end; ++c)
        shared += members(*c)[item / mask_items] >> item % mask_items & 1;
    return static_cast<uint32_t>(shared);
}

std::vector<int64_t> Relevance::best_grades(int64_t query, int64_t wanted) const {
    std::vector<int64_t> totals(size_t{max_grade_} + 1);
    const Classes of_query = classes(query);
    const auto own = static_cast<uint32_t>(of_query.end - of_query.begin);
    SlicedCounts shared(table_, std::min(own, max_grade_));
    uint32_t least = 1;
    for (int64_t first = 0; first < item_words_; first += SlicedCounts::span_words) {
        const int64_t words = std::min(SlicedCounts::span_words, item_words_ - first);
        shared.clear();
        for (const uint32_t* c = of_query.begin; c != of_query.end; ++c)
            shared.add(members(*c) + first, words);
        shared.count(least, totals);
        least = least_of_interest(totals, wanted);
    }
    return totals;
}

}  // namespace hashcore
