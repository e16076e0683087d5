// The kernels that search a multi-index hash, at every instruction-set level, and what chooses
// among their hits: against one code and one bit at a time.
#include <algorithm>
#include <functional>
#include <numeric>
#include <string>
#include <utility>

#include "check.h"
#include "cpu/dispatch.h"
#include "hashcore/runtime.h"
#include "mih/bit_gather.h"
#include "mih/hit_selection.h"
#include "reference.h"

namespace hashcore::test {
namespace {

/// How far past the last entry the kernels may read.
constexpr size_t slack = 64;

std::vector<uint8_t> random_bytes(Rng& rng, size_t count) {
    std::vector<uint8_t> bytes(count);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(rng());
    return bytes;
}

/// Entries of `bytes` bytes and the slack: equal to the query, its complement, near it or anywhere.
std::vector<uint8_t> entries_around(Rng& rng, const std::vector<uint8_t>& query, size_t count) {
    std::vector<uint8_t> entries = random_bytes(rng, count * query.size() + slack);
    for (size_t i = 0; i < count; ++i) {
        uint8_t* entry = entries.data() + i * query.size();
        const int64_t kind = draw(rng, 0, 3);
        if (kind == 3) continue;
        for (size_t byte = 0; byte < query.size(); ++byte) {
            const uint64_t flips = kind == 0 ? 0 : kind == 1 ? 0xFF : rng() & rng() & rng();
            entry[byte] = static_cast<uint8_t>(query[byte] ^ flips);
        }
    }
    return entries;
}

/// Runs of entries in no order, some empty and some longer than any vector.
std::vector<Bucket> random_buckets(Rng& rng, int64_t entries) {
    std::vector<Bucket> buckets(static_cast<size_t>(draw(rng, 0, 40)));
    for (Bucket& bucket : buckets) {
        const int64_t begin = draw(rng, 0, entries);
        const int64_t most = draw(rng, 0, 9) == 0 ? 300 : 17;
        bucket.begin = static_cast<uint64_t>(begin);
        bucket.count = static_cast<uint32_t>(draw(rng, 0, std::min(most, entries - begin)));
        bucket.base = static_cast<uint32_t>(draw(rng, 0, 30));
    }
    return buckets;
}

uint64_t word_of(const uint8_t* bytes, size_t count) {
    uint64_t word = 0;
    for (size_t i = 0; i < count; ++i) word |= uint64_t{bytes[i]} << (8 * i);
    return word;
}

/// Compares what a kernel finds among `most` entries, at every level, with `expected`.
void expect_found(const std::string& name, const std::vector<Hit>& expected, size_t most,
                  const std::function<size_t(const KernelTable&, Hit*)>& scan) {
    for (const std::string& level : isa_levels()) {
        current_case = name + ", " + level;
        force_isa(level);
        std::vector<Hit> found(most + codes_per_block);
        found.resize(scan(kernels(), found.data()));
        EXPECT(found == expected);
    }
    force_isa("");
}

/// Both kinds of buckets: entries of eight bytes are codes of a word, too.
void check_buckets(uint64_t seed) {
    Rng rng(seed);
    const auto bytes = static_cast<size_t>(1 + seed % 8);
    const int64_t count = draw(rng, 0, 700);
    const std::vector<uint8_t> query = random_bytes(rng, bytes);
    const std::vector<uint8_t> entries = entries_around(rng, query, static_cast<size_t>(count));
    const std::vector<Bucket> buckets = random_buckets(rng, count);
    const auto limit = static_cast<uint32_t>(draw(rng, 0, 65));
    std::vector<Hit> words, rests;
    size_t most = 0;
    for (const Bucket& bucket : buckets) {
        most += bucket.count;
        for (uint64_t i = bucket.begin; i < bucket.begin + bucket.count; ++i) {
            const auto bits = static_cast<uint32_t>(
                distance(entries.data() + i * bytes, query.data(), static_cast<int64_t>(bytes)));
            if (bits < limit) words.push_back(make_hit(bits, i));
            if (bits + bucket.base < limit) rests.push_back(make_hit(bits + bucket.base, i));
        }
    }
    const uint64_t query_word = word_of(query.data(), bytes);
    const std::string name = "seed " + std::to_string(seed);
    expect_found(name + ", rests", rests, most, [&](const KernelTable& table, Hit* found) {
        return table.scan_rest_buckets(entries.data(), bytes, buckets.data(), buckets.size(),
                                       query_word, limit, found);
    });
    if (bytes != 8) return;
    std::vector<uint64_t> codes(entries.size() / 8);
    std::memcpy(codes.data(), entries.data(), 8 * codes.size());
    expect_found(name + ", words", words, most, [&](const KernelTable& table, Hit* found) {
        return table.scan_word_buckets(codes.data(), buckets.data(), buckets.size(), query_word,
                                       limit, found);
    });
}

std::vector<uint64_t> words_of(const std::vector<uint8_t>& row) {
    std::vector<uint64_t> words((row.size() + 7) / 8);
    for (size_t w = 0; w < words.size(); ++w)
        words[w] = word_of(row.data() + 8 * w, std::min<size_t>(8, row.size() - 8 * w));
    return words;
}

void check_rows(uint64_t seed, size_t row_bytes) {
    Rng rng(seed);
    const int64_t count = draw(rng, 1, 100);
    const std::vector<uint8_t> query = random_bytes(rng, row_bytes);
    std::vector<uint8_t> rows = entries_around(rng, query, static_cast<size_t>(count));
    rows.resize(rows.size() - slack);  // nothing past the last row is read
    rows.shrink_to_fit();
    std::vector<uint32_t> numbers(static_cast<size_t>(draw(rng, 0, 50)));
    for (uint32_t& number : numbers) number = static_cast<uint32_t>(draw(rng, 0, count - 1));
    const auto limit = static_cast<uint32_t>(draw(rng, 0, static_cast<int64_t>(8 * row_bytes + 1)));
    std::vector<Hit> expected;
    for (const uint32_t number : numbers) {
        const auto bits = static_cast<uint32_t>(distance(
            rows.data() + number * row_bytes, query.data(), static_cast<int64_t>(row_bytes)));
        if (bits < limit) expected.push_back(make_hit(bits, number));
    }
    const std::vector<uint64_t> query_words = words_of(query);
    expect_found("rows of " + std::to_string(row_bytes) + ", seed " + std::to_string(seed),
                 expected, numbers.size(), [&](const KernelTable& table, Hit* found) {
                     return table.scan_rows(rows.data(), row_bytes, numbers.data(), numbers.size(),
                                            query_words.data(), limit, found);
                 });
}

/// Keys of one to three parts, and their bits in an entry.
struct DrawnKey {
    std::vector<WordMask> parts;
    std::vector<uint8_t> bits;
    uint32_t radius;
};

DrawnKey draw_key(Rng& rng, size_t entry_bytes) {
    DrawnKey key{{}, std::vector<uint8_t>(entry_bytes), static_cast<uint32_t>(draw(rng, 0, 3))};
    std::vector<size_t> words((entry_bytes + 7) / 8);
    std::iota(words.begin(), words.end(), size_t{0});
    std::shuffle(words.begin(), words.end(), rng);
    words.resize(std::min<size_t>(words.size(), static_cast<size_t>(draw(rng, 1, 3))));
    for (const size_t word : words) {
        const size_t bytes = std::min<size_t>(8, entry_bytes - 8 * word);
        for (size_t byte = 0; byte < bytes; ++byte)
            key.bits[8 * word + byte] = static_cast<uint8_t>(rng() & rng());
        key.parts.push_back({word, word_of(key.bits.data() + 8 * word, bytes)});
    }
    return key;
}

void check_drop_seen(uint64_t seed, size_t entry_bytes) {
    Rng rng(seed);
    const int64_t count = draw(rng, 1, 300);
    const std::vector<uint8_t> query = random_bytes(rng, entry_bytes);
    std::vector<uint8_t> entries = entries_around(rng, query, static_cast<size_t>(count));
    entries.resize(entries.size() - slack + 7);
    entries.shrink_to_fit();
    std::vector<DrawnKey> keys;
    for (int64_t left = draw(rng, 0, 4); left > 0; --left)
        keys.push_back(draw_key(rng, entry_bytes));
    std::vector<SeenKey> seen;
    for (const DrawnKey& key : keys)
        seen.push_back({key.parts.data(), static_cast<uint32_t>(key.parts.size()), key.radius});
    std::vector<Hit> hits(static_cast<size_t>(draw(rng, 0, 200))), expected;
    for (Hit& hit : hits) {
        hit = make_hit(static_cast<uint32_t>(draw(rng, 0, 70)),
                       static_cast<uint64_t>(draw(rng, 0, count - 1)));
        const uint8_t* entry = entries.data() + hit_position(hit) * entry_bytes;
        const auto met = [&](const DrawnKey& key) {
            uint32_t bits = 0;
            for (size_t byte = 0; byte < entry_bytes; ++byte)
                bits += static_cast<uint32_t>(std::popcount(
                    static_cast<uint8_t>((entry[byte] ^ query[byte]) & key.bits[byte])));
            return bits <= key.radius;
        };
        if (std::none_of(keys.begin(), keys.end(), met)) expected.push_back(hit);
    }
    const std::vector<uint64_t> query_words = words_of(query);
    expect_found(
        "drop_seen, entries of " + std::to_string(entry_bytes) + ", seed " + std::to_string(seed),
        expected, hits.size(), [&](const KernelTable& table, Hit* found) {
            std::copy(hits.begin(), hits.end(), found);
            return table.drop_seen(found, hits.size(), entries.data(), entry_bytes,
                                   query_words.data(), seen.data(), seen.size());
        });
}

void check_bit_gather(uint64_t seed) {
    Rng rng(seed);
    current_case = "bit gather, seed " + std::to_string(seed);
    Codes row(1, draw(rng, 1, 300));
    randomize_row(row, 0, rng);
    std::vector<uint32_t> chosen(static_cast<size_t>(row.bits()));
    std::iota(chosen.begin(), chosen.end(), 0U);
    std::shuffle(chosen.begin(), chosen.end(), rng);
    chosen.resize(static_cast<size_t>(draw(rng, 0, std::min<int64_t>(row.bits(), 64))));
    uint64_t expected = 0;
    Codes only_chosen(1, row.bits());
    for (size_t i = 0; i < chosen.size(); ++i) {
        if ((row.row(0)[chosen[i] / 8] & (0x80 >> (chosen[i] % 8))) == 0) continue;
        expected |= uint64_t{1} << i;
        only_chosen.flip(0, chosen[i]);
    }
    EXPECT(BitGather(chosen)(row.row(0)) == expected);
    EXPECT(gather_bits(row.row(0), chosen) == expected);
    if (row.bits() <= 64)
        EXPECT(BitScatter(chosen)(expected) == row_words(only_chosen.view()).front());
}

/// Hits in any order, few distances or many, against all of them sorted.
void check_selection(uint64_t seed) {
    Rng rng(seed);
    current_case = "selection, seed " + std::to_string(seed);
    const int64_t bits = draw(rng, 1, 300);
    const int64_t count = draw(rng, 0, 3) * draw(rng, 0, 1000);
    const std::vector<int64_t> wanted = {1, 2, 10, 100, std::max<int64_t>(1, count), count + 5};
    const Request request{static_cast<uint32_t>(draw(rng, 0, bits + 1)),
                          wanted[seed % wanted.size()], draw(rng, 0, 5) == 0, bits};
    const int64_t farthest = draw(rng, 0, 1) == 0 ? bits : draw(rng, 0, std::min<int64_t>(bits, 2));
    std::vector<Hit> hits;
    for (int64_t position = 0; position < count; ++position)
        hits.push_back(make_hit(static_cast<uint32_t>(draw(rng, 0, farthest)),
                                static_cast<uint64_t>(position)));
    const auto take = std::min(count, request.keep_all ? count : request.k);

    std::shuffle(hits.begin(), hits.end(), rng);
    if (draw(rng, 0, 2) == 0) std::sort(hits.rbegin(), hits.rend());
    HitSelection selection(request);
    uint32_t limit = selection.limit();
    EXPECT(limit == request.limit);
    for (const Hit hit : hits) {
        selection.add(hit);
        EXPECT(selection.limit() <= limit);
        limit = selection.limit();
    }
    std::sort(hits.begin(), hits.end());
    std::vector<Hit> expected;
    for (const Hit hit : hits)
        if (hit_distance(hit) < request.limit && static_cast<int64_t>(expected.size()) < take)
            expected.push_back(hit);
    const bool full = !request.keep_all && static_cast<int64_t>(expected.size()) == request.k;
    EXPECT(limit == (full ? hit_distance(expected.back()) + 1 : request.limit));
    EXPECT(selection.complete_within(int64_t{limit} - 1));
    EXPECT(limit == 0 || !selection.complete_within(int64_t{limit} - 2));
    EXPECT(selection.sorted() == expected);
}

int run(const Budget& budget) {
    // About the words that levels add up before a byte of a sum may overflow.
    const std::vector<size_t> row_bytes = {8,   9,   15,  16,  17,  23,  33,  64,
                                           100, 125, 247, 248, 249, 255, 256, 257,
                                           496, 497, 504, 511, 520, 744, 750, 1027};
    uint64_t cases = 0;
    while (cases < 200 || budget.left()) {
        const uint64_t seed = ++cases;
        check_buckets(seed);
        check_rows(seed, row_bytes[seed % row_bytes.size()]);
        check_drop_seen(seed, seed % 2 == 0 ? 1 + seed / 2 % 8 : row_bytes[seed / 2 % 24]);
        check_bit_gather(seed);
        check_selection(seed);
    }
    std::cout << cases << " cases agree\n";
    return 0;
}

}  // namespace
}  // namespace hashcore::test

int main(int argc, char** argv) {
    return hashcore::test::run(hashcore::test::Budget(argc, argv));
}
