// Counts of allowed codes against a count of the bits one by one.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "check.h"
#include "cpu/allowed.h"
#include "reference.h"

namespace hashcore::test {
namespace {

void check_counts(uint64_t seed) {
    current_case = "allowed, seed " + std::to_string(seed);
    Rng rng(seed);
    const int64_t count = draw(rng, 1, 3000);
    const int64_t rarity = draw(rng, 1, 4) == 1 ? draw(rng, 1, 1000) : draw(rng, 1, 3);
    CodeBitmap bits(count);
    std::vector<int64_t> before{0};  // allowed codes before each position
    for (int64_t code = 0; code < count; ++code) {
        const bool allowed = draw(rng, 1, rarity) == 1;
        if (allowed) bits.set(code);
        before.push_back(before.back() + (allowed ? 1 : 0));
    }
    const AllowedCodes allowed(std::move(bits));
    EXPECT(allowed.total() == before.back());
    const auto expect_count = [&](int64_t begin, int64_t end) {
        const int64_t found = before[static_cast<size_t>(end)] - before[static_cast<size_t>(begin)];
        EXPECT(allowed.count_in(begin, end - begin) == found);
    };
    for (int i = 0; i < 200; ++i) {
        const int64_t begin = draw(rng, 0, count / 8) * 8;
        expect_count(begin, draw(rng, begin, count));
    }
    for (int64_t begin = 0; begin <= count; begin += 512)
        for (const int64_t end : {begin, std::min(begin + 512, count), count})
            expect_count(begin, end);
    for (int64_t rank = 0; rank < allowed.total(); ++rank) {
        const auto after = static_cast<size_t>(allowed.code_of_rank(rank)) + 1;
        EXPECT(before[after] == rank + 1 && before[after - 1] == rank);
    }
}

int run(const Budget& budget) {
    uint64_t seed = 0;
    do check_counts(seed++);
    while (budget.left());
    return 0;
}

}  // namespace
}  // namespace hashcore::test

int main(int argc, char** argv) {
    return hashcore::test::run(hashcore::test::Budget(argc, argv));
}
