// What the GPU's search does between its passes, and how it counts differing bits, against the
// obvious: on every small case, and on random ones.
#include <algorithm>
#include <array>
#include <bit>
#include <iostream>
#include <set>
#include <sstream>
#include <vector>

#include "check.h"
#include "cuda/hamming.h"
#include "cuda/selection.h"
#include "reference.h"

namespace hashcore::test {
namespace {

using namespace hashcore::cuda;

/// A block of one thread at a time.
class SerialTeam {
 public:
    explicit SerialTeam(int size) : room_(static_cast<size_t>(size)), size_(size) {}
    int size() const { return size_; }
    template <class Body>
    void each(int64_t n, const Body& body) const {
        for (int64_t i = n; i-- > 0;) body(i);
    }
    void barrier() const {}
    void* room() { return room_.data(); }

 private:
    std::vector<std::array<uint64_t, 2>> room_;
    int size_;
};

void test_keys() {
    for (const int64_t distance : {0, 1, 63, 64, 65'535, 65'536})
        for (const int64_t position : {int64_t{0}, int64_t{1}, int64_t{1} << 33, max_position}) {
            const uint64_t key = hit_key(distance, position);
            EXPECT(hit_distance(key) == distance && hit_position(key) == position);
            EXPECT(key < no_limit);
            // Of a distance, position 0 has the least key.
            EXPECT(hit_key(distance_limit(key), 0) >= key);
            EXPECT(distance_limit(key) == 0 || hit_key(distance_limit(key) - 1, 0) < key);
        }
    EXPECT(distance_limit(0) == 0);
}

void test_ranks(Rng& rng) {
    for (int64_t bins = 1; bins <= 40; ++bins)
        for (const int threads : {1, 4, 32}) {
            std::vector<unsigned long long> counts(static_cast<size_t>(bins));
            int64_t total = 0;
            for (auto& count : counts) {
                count = draw(rng, 0, 2) == 0 ? 0 : static_cast<uint64_t>(draw(rng, 0, 4));
                total += static_cast<int64_t>(count);
            }
            for (int64_t wanted = 1; wanted <= total + 2; ++wanted) {
                SerialTeam team(threads);
                const RankPlace place = find_rank(team, counts.data(), bins, wanted);
                int64_t bin = 0, before = 0;
                while (bin < bins &&
                       before + static_cast<int64_t>(counts[static_cast<size_t>(bin)]) < wanted)
                    before += static_cast<int64_t>(counts[static_cast<size_t>(bin++)]);
                EXPECT(place.bin == bin && place.before == before);
            }
        }
}

/// Passes over keys as a GPU makes them; the limit that is found.
uint64_t search_rank(const std::vector<uint64_t>& keys, int64_t k, int64_t end, int64_t room) {
    RankSearch search{0, no_limit, k, false};
    const auto pass = [&](int shift, int64_t bins) {
        std::vector<unsigned long long> counts(static_cast<size_t>(bins));
        for (const uint64_t key : keys)
            if (key >= search.low && key < search.limit) {
                const uint64_t bin = (key - search.low) >> shift;
                EXPECT(bin < counts.size());
                ++counts[bin];
            }
        SerialTeam team(8);
        const RankPlace place = find_rank(team, counts.data(), bins, search.wanted);
        EXPECT(place.bin < bins);
        search = narrow(search, place, static_cast<int64_t>(counts[static_cast<size_t>(place.bin)]),
                        shift, k - search.wanted, room);
    };
    pass(position_bits, 20);
    for (int shift = first_position_shift(end); !search.found; shift -= position_digit_bits) {
        EXPECT(shift >= 0);
        pass(shift, position_bins);
    }
    return search.limit;
}

void test_exact_search(Rng& rng) {
    const int64_t end = int64_t{1} << draw(rng, 0, 40);
    std::set<uint64_t> unique;
    const int64_t distances = draw(rng, 1, 4);
    for (int i = 0; i < 200; ++i)
        unique.insert(hit_key(draw(rng, 0, distances - 1), draw(rng, 0, end - 1)));
    const std::vector<uint64_t> keys(unique.begin(), unique.end());
    const auto count = static_cast<int64_t>(keys.size());
    for (int64_t k = 1; k <= count; ++k)
        for (const int64_t room : {k, 2 * k, k + 17}) {
            const uint64_t limit = search_rank(keys, k, end, room);
            const auto below = std::lower_bound(keys.begin(), keys.end(), limit) - keys.begin();
            EXPECT(below >= k && below <= room);
        }
}

void test_merging() {
    for (int64_t count = 0; count <= 40; ++count)
        for (int64_t length = 1; length <= 16; length *= 2)
            for (uint64_t seed = 0; seed < 8; ++seed) {
                Rng rng(seed);
                std::vector<uint64_t> keys(static_cast<size_t>(count));
                for (size_t i = 0; i < keys.size(); ++i) keys[i] = i;
                std::shuffle(keys.begin(), keys.end(), rng);
                std::vector<uint64_t> merged(keys.size(), no_limit), expected = keys;
                for (int64_t first = 0; first < count; first += length)
                    std::sort(keys.begin() + first, keys.begin() + std::min(count, first + length));
                for (int64_t first = 0; first < count; first += 2 * length)
                    std::sort(expected.begin() + first,
                              expected.begin() + std::min(count, first + 2 * length));
                for (int64_t i = 0; i < count; ++i)
                    merged[static_cast<size_t>(merged_place(keys.data(), count, length, i))] =
                        keys[static_cast<size_t>(i)];
                EXPECT(merged == expected);
            }
    EXPECT(merges_of(0) == 0 && merges_of(run_keys) == 0 && merges_of(run_keys + 1) == 1);
    EXPECT(merges_of(8 * run_keys) == 3 && merges_of(8 * run_keys + 1) == 4);
}

void test_plans() {
    for (int shift_of_end = 0; shift_of_end <= position_bits; ++shift_of_end) {
        const int64_t end = int64_t{1} << shift_of_end;
        int covered = first_position_shift(end);
        EXPECT(covered % position_digit_bits == 0);
        EXPECT((end - 1) >> covered < position_bins);
    }
    for (int64_t codes = 0; codes < 3'000'000; codes = codes * 5 / 4 + 1)
        for (int64_t k = 0; k <= codes; k = k * 3 / 2 + 1)
            for (const int64_t forced : {0, 1, 5000}) {
                const KnnPlan plan = plan_knn(k, codes, forced);
                EXPECT(plan.capacity <= codes);
                EXPECT(plan.capacity == codes || plan.capacity >= 2 * k);
                EXPECT(plan.tile_step == 0 || plan.tile_step >= 2);
                // A sample is no use where it holds fewer codes than are wanted.
                if (plan.tile_step > 0) EXPECT(tiles_for(codes) / plan.tile_step * tile_codes >= k);
            }
}

void test_bits(Rng& rng) {
    for (int64_t chunks = 1; chunks <= 40; ++chunks) {
        BitSum sum;
        int expected = 0, by_chunks = 0;
        for (int64_t i = 0; i < chunks; ++i) {
            Chunk<2> a{{rng(), rng()}}, b{{rng(), rng()}};
            if (draw(rng, 0, 3) == 0) b = {{~a.of[0], ~a.of[1]}};
            sum.add(a, b);
            by_chunks += differing_bits(a, b);
            expected += std::popcount(a.of[0] ^ b.of[0]) + std::popcount(a.of[1] ^ b.of[1]);
        }
        EXPECT(sum.total() == expected && by_chunks == expected);
    }
}

int run(const Budget& budget) {
    test_keys();
    test_merging();
    test_plans();
    uint64_t cases = 0;
    while (cases < 20 || budget.left()) {
        current_case = "seed " + std::to_string(++cases);
        Rng rng(cases);
        test_ranks(rng);
        test_exact_search(rng);
        test_bits(rng);
    }
    std::cout << cases << " cases agree\n";
    return 0;
}

}  // namespace
}  // namespace hashcore::test

int main(int argc, char** argv) {
    return hashcore::test::run(hashcore::test::Budget(argc, argv));
}
