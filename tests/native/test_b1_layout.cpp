// What the scans on the binary tensor core rely on, in full: who holds what, where codes stand,
// and what products say about distances.
#include <algorithm>
#include <map>
#include <set>

#include "check.h"
#include "cuda/b1_hits.h"
#include "cuda/b1_layout.h"
#include "cuda/scan_choice.h"
#include "reference.h"

namespace hashcore::test {
namespace {

using namespace cuda;      // NOLINT
using namespace cuda::b1;  // NOLINT

void check_fragments() {
    current_case = "fragments";
    std::set<std::pair<int, int>> products, words;
    for (int thread = 0; thread < group_threads; ++thread) {
        std::set<int> own;
        for (int which = 0; which < 2; ++which)
            for (int i = 0; i < 64; ++i) {
                products.insert({row_of(thread, which), column_of(thread, i)});
                own.insert(product_of(which, i));
                // As PTX numbers them: pairs of columns, rows 8 apart, then the next 8 columns.
                const int d = product_of(which, i);
                EXPECT(row_of(thread, which) ==
                       thread / 32 * 16 + thread % 32 / 4 + (d % 4 < 2 ? 0 : 8));
                EXPECT(column_of(thread, i) == d / 4 * 8 + thread % 4 * 2 + d % 2);
            }
        EXPECT(own.size() == products_a_thread && *own.rbegin() == products_a_thread - 1);
        for (int r = 0; r < 4; ++r) words.insert({row_of(thread, r % 2), word_of(thread, r)});
    }
    EXPECT(products.size() == size_t{group_queries} * tile_codes);
    EXPECT(words.size() == size_t{group_queries} * product_words);
}

void check_weights() {
    current_case = "weights";
    std::set<int> places;
    for (int column = 0; column < tile_codes; ++column) places.insert(weight_index(column));
    EXPECT(places.size() == tile_codes && *places.begin() == 0);
    EXPECT(*places.rbegin() < weight_bytes / 2);
    for (int thread = 0; thread < 4; ++thread)
        for (int i = 0; i < 64; ++i)  // number i / 2 of the words at its place, half i % 2
            EXPECT(weight_index(column_of(thread, i)) ==
                   (thread * weight_words_a_place + i / 2) * 2 + i % 2);
}

/// The bound lets no hit pass by, and with weights lets in no distance more than one too far.
void check_bounds() {
    for (const int64_t compared : {64, 128, 256, 384}) {
        for (int64_t past = 0; past <= compared + 2; ++past) {
            for (const int64_t position : {0, 1}) {
                const uint64_t limit = past == 0 ? 0 : hit_key(past - position, position);
                current_case = "bounds, " + std::to_string(compared) + " bits, " +
                               std::to_string(past) + ", " + std::to_string(position);
                EXPECT(distance_limit(limit) == past);
                if (is_complemented(compared)) {
                    const int bound = bound_for(limit, compared, true, 0);
                    for (int64_t distance = 0; distance <= compared; ++distance)
                        EXPECT((compared - distance >= bound) == (distance < past));
                    continue;
                }
                for (int64_t q = 0; q <= compared; q += 7) {
                    const int bound = bound_for(limit, compared, false, q);
                    for (int64_t b = 0; b <= compared; b += 5) {
                        const int64_t most = std::min(q, b);
                        for (int64_t both = std::max<int64_t>(0, q + b - compared); both <= most;
                             ++both) {
                            const int64_t distance = q + b - 2 * both;
                            const bool reached = both + weight_entry(static_cast<int>(b)) >= bound;
                            EXPECT(reached || distance >= past);
                            EXPECT(!reached || (past > 0 && distance <= past));
                        }
                    }
                }
            }
        }
    }
    current_case = "bounds of the widest codes";
    EXPECT(bound_for(no_limit, most_bits, false, 0) >= INT16_MIN);
    EXPECT(bound_for(hit_key(1, 0), most_bits, false, most_bits) < out_of_reach);
    EXPECT(most_bits + weight_entry(0) < out_of_reach);
    EXPECT(bound_for(no_limit, 64, true, 0) == 0);
}

/// Words of queries against words of codes, complemented as the kernels do: equal bits.
void check_complements() {
    Rng rng(1);
    for (int64_t bits = 1; bits <= 128; ++bits) {
        current_case = "complements, " + std::to_string(bits) + " bits";
        const int64_t words = words_of_query(bits);
        EXPECT(words == (bits <= 64 ? 2 : 4));
        uint32_t q[4] = {}, b[4] = {};
        for (int64_t i = 0; i < bits; ++i) {
            q[i / 32] |= static_cast<uint32_t>(draw(rng, 0, 1)) << i % 32;
            b[i / 32] |= static_cast<uint32_t>(draw(rng, 0, 1)) << i % 32;
        }
        int64_t product = 0, distance = 0;
        for (int w = 0; w < product_words; ++w) {
            const uint32_t of_code = w < words ? b[w] : w < 2 * words ? ~b[w - words] : ~0U;
            product += ones_of(query_word(q, words, true, 0, w) & of_code);
        }
        for (int64_t w = 0; w < words; ++w) distance += ones_of(q[w] ^ b[w]);
        EXPECT(product == 32 * words - distance);
    }
}

void check_query_words() {
    uint32_t row[24];
    for (uint32_t w = 0; w < 24; ++w) row[w] = w + 1;
    for (int64_t words : {8, 12, 24})
        for (int64_t p = 0; p < 4; ++p)
            for (int w = 0; w < product_words; ++w) {
                const int64_t at = 8 * p + w;
                EXPECT(query_word(row, words, false, p, w) ==
                       (at < words ? static_cast<uint32_t>(at) + 1 : 0));
            }
}

/// All of a tile is loaded, part by part; operands lie apart and within their stage.
void check_stages() {
    for (int64_t bits = 1; bits <= most_bits; bits = bits < 1100 ? bits + 1 : bits + 97) {
        current_case = "stages, " + std::to_string(bits) + " bits";
        const Stage stage = Stage::of(bits);
        EXPECT(stage.loaded_bytes * parts_of(bits) >= tile_bytes(bits));
        EXPECT(stage.loaded_bytes * (parts_of(bits) - 1) < tile_bytes(bits));
        EXPECT(stage.products * 2 * parts_of(bits) >= chunks_per_code(bits));
        EXPECT(stage.bytes % 128 == 0 && stage.tile_stride % 128 == 0 && stage.loads_at % 16 == 0);
        const int64_t loads = int64_t{stage.tiles} * stage.loaded_bytes;
        // A product reads 32 bytes of every code, also where only 8 or 16 of them mean anything.
        const int operands =
            (stage.tiles - 1) * stage.tile_stride + stage.products * 2 * column_bytes;
        EXPECT(operands <= stage.bytes && stage.loads_at + loads <= stage.bytes);
        if (stage.loads_at != 0) EXPECT(stage.loads_at == stage.tiles * stage.tile_stride);
        if (is_complemented(bits)) continue;
        EXPECT(stage.tiles == 1 && stage.weights_at >= operands && stage.loads_at == 0);
        EXPECT(stage.weights_at % 16 == 0 && stage.weights_at + weight_bytes <= stage.bytes);
    }
    for (const int64_t bits : {64, 128, 256, 512, 1024, 16384}) {
        current_case = "stages that fit, " + std::to_string(bits) + " bits";
        const int64_t stages = stages_within(shared_memory_of_hopper, bits);
        EXPECT(stages >= 4 && stages <= most_stages);
        EXPECT(stages * (Stage::of(bits).bytes + 8 * barriers_a_stage) <= shared_memory_of_hopper);
        // What has to be under way to fill the memory of an H200, a multiprocessor.
        EXPECT((stages - 2) * Stage::of(bits).loaded_bytes * Stage::of(bits).tiles >= 32 << 10);
    }
}

void check_operands() {
    current_case = "operands";
    EXPECT(operand(0, column_bytes) == (uint64_t{8} << 32 | uint64_t{256} << 16));
    EXPECT(operand(0x38C00, column_bytes) == (uint64_t{8} << 32 | 256 << 16 | 0x38C0));
    EXPECT(operand(4096, 4096) + (2 * column_bytes >> 4) == operand(4096 + 8192, 4096));
}

/// Every tile meets every group of queries once.
void check_shares() {
    for (const int64_t queries : {1, 63, 64, 65, 128, 129, 1'000, 10'000, 1'000'000})
        for (const int64_t tiles : {1, 15, 16, 17, 1'000, 3'906'250})
            for (const int64_t processors : {1, 3, 132}) {
                current_case = "shares, " + std::to_string(queries) + " queries, " +
                               std::to_string(tiles) + " tiles";
                const Share share = Share::of(queries, tiles, processors);
                EXPECT(int64_t{share.runs} * share.tiles_a_run >= tiles);
                EXPECT(int64_t{share.runs - 1} * share.tiles_a_run < tiles);
                const int64_t a_block = share.groups_a_block * group_queries;
                EXPECT(share.query_blocks * a_block >= queries);
                EXPECT((share.query_blocks - 1) * a_block < queries);
                EXPECT((share.groups_a_block == 1) == (queries <= group_queries));
                if (tiles > 100'000) EXPECT(share.items() >= processors);
            }
}

void check_choice() {
    const auto chosen = [](int64_t queries, int64_t bits, int architecture, bool keeps, bool sm80,
                           bool sm90a) {
        return choose_scan({queries, bits, architecture, keeps, sm80, sm90a}) == Scan::b1;
    };
    current_case = "choice";
    for (const int64_t bits : {1, 64, 128, 256, 1024, 4096, 16384}) {
        EXPECT(chosen(64, bits, 90, true, true, true));
        EXPECT(!chosen(64, bits, 90, true, true, false));  // the module lacks it
        EXPECT(!chosen(64, bits, 90, false, true, true));  // counting in bins
        EXPECT(!chosen(1, bits, 90, true, true, true));    // reading codes is all there is to do
        EXPECT(!chosen(4, bits, 90, true, true, true));
        EXPECT(chosen(64, bits, 80, true, true, true) == (bits <= 1024));
        EXPECT(chosen(64, bits, 89, true, true, false) == (bits <= 1024));
        EXPECT(!chosen(64, bits, 86, true, false, true));
        for (const int other : {75, 100, 103, 120})
            EXPECT(!chosen(64, bits, other, true, true, true));
    }
    EXPECT(!chosen(64, most_bits + 1, 90, true, true, true));
}

}  // namespace
}  // namespace hashcore::test

int main() {
    using namespace hashcore::test;  // NOLINT
    check_fragments();
    check_weights();
    check_bounds();
    check_complements();
    check_query_words();
    check_stages();
    check_operands();
    check_shares();
    check_choice();
    std::cout << "layouts, bounds and choices are as they have to be\n";
}
