// Kernels that no call of the C++ API reaches alone, against scalar code at every level.
#include <algorithm>
#include <sstream>
#include <vector>

#include "check.h"
#include "cpu/dispatch.h"
#include "hashcore/runtime.h"
#include "reference.h"

namespace hashcore::test {
namespace {

constexpr size_t tile_items = size_t{1} << tile_item_bits;

/// Bits that are set one time in `rarity`; none where it is 0.
std::vector<uint64_t> draw_mask(Rng& rng, size_t words, int64_t rarity) {
    std::vector<uint64_t> mask(words);
    for (size_t i = 0; rarity > 0 && i < 64 * words; ++i)
        if (draw(rng, 1, rarity) == 1) mask[i / 64] |= uint64_t{1} << i % 64;
    return mask;
}

void check_list_hits(uint64_t seed, size_t words, int64_t rarity) {
    Rng rng(seed);
    const std::vector<uint64_t> mask = draw_mask(rng, words, rarity);
    std::vector<uint32_t> distances(64 * words);
    for (uint32_t& distance : distances) distance = static_cast<uint32_t>(draw(rng, 0, max_bits));
    std::vector<TileHit> truth;
    for (uint32_t i = 0; i < distances.size(); ++i)
        if ((mask[i / 64] >> i % 64 & 1) != 0) truth.push_back(make_tile_hit(distances[i], i));
    for (const TileHit hit : truth) EXPECT(tile_hit_distance(hit) == distances[tile_hit_item(hit)]);
    for (const std::string& level : isa_levels()) {
        force_isa(level);
        std::ostringstream text;
        text << "list_hits, seed " << seed << ", " << words << " words, 1 in " << rarity << ", "
             << level;
        current_case = text.str();
        constexpr TileHit untouched = 0xDEADBEEF;
        std::vector<TileHit> hits(64 * words + 16, untouched);
        const size_t count = kernels().list_hits(distances.data(), mask.data(), words, hits.data());
        EXPECT(count == truth.size());
        EXPECT(std::equal(truth.begin(), truth.end(), hits.begin()));
        EXPECT(
            std::all_of(hits.end() - 16, hits.end(), [](TileHit hit) { return hit == untouched; }));
    }
    force_isa("");
}

int run(const Budget& budget) {
    Deck<int64_t> rarities({0, 1, 2, 5, 40, 1'000}, 1);
    uint64_t cases = 0;
    while (cases <= tile_items / 64 || budget.left()) {
        check_list_hits(cases, cases % (tile_items / 64 + 1), rarities.deal());
        ++cases;
    }
    std::cout << cases << " cases at " << isa_levels().size() << " levels agree\n";
    return 0;
}

}  // namespace
}  // namespace hashcore::test

int main(int argc, char** argv) {
    return hashcore::test::run(hashcore::test::Budget(argc, argv));
}
