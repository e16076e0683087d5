// The scans on the binary tensor core, run on the host thread by thread in random order, with a
// model of its instructions, against one bit at a time.
#include <algorithm>
#include <memory>

#include "check.h"
#include "cuda/b1_hits.h"
#include "cuda/b1_scans.h"
#include "reference.h"

namespace hashcore::test {
namespace {

using namespace cuda;  // NOLINT

using Scanner = void (*)(const SearchPass&, const Stream&);

/// Bytes at a multiple of 256, all ones at the start.
class Bytes {
 public:
    explicit Bytes(int64_t count) : memory_(static_cast<size_t>(count) + 256, 0xFF) {}
    uint8_t* data() {
        const auto address = reinterpret_cast<uintptr_t>(memory_.data());
        return memory_.data() + (256 - address % 256);
    }

 private:
    std::vector<uint8_t> memory_;
};

enum class Kind { uniform, near_duplicates, all_equal, light_and_heavy };

struct Case {
    int64_t bits, codes, queries;
    Kind kind = Kind::uniform;
    int64_t first_tile = 0, end_tile = -1, tile_step = 1;
    bool filtered = false;
    int64_t room = -1;          ///< of a row; -1: enough
    bool nearest_only = false;  ///< one hit a query, so that nothing else has it found
    int64_t left_out = 0;       ///< queries from the first on

    std::string name() const {
        return std::to_string(bits) + " bits, " + std::to_string(codes) + " codes, " +
               std::to_string(queries) + " queries, kind " +
               std::to_string(static_cast<int>(kind)) + ", tiles from " +
               std::to_string(first_tile) + " step " + std::to_string(tile_step) + ", room " +
               std::to_string(room);
    }
};

using Row = std::vector<bool>;

std::vector<Row> draw_rows(Rng& rng, const Case& asked, int64_t count, const Row* around) {
    std::vector<Row> rows(static_cast<size_t>(count), Row(static_cast<size_t>(asked.bits)));
    for (Row& row : rows) {
        const int64_t weight = asked.kind == Kind::light_and_heavy ? draw(rng, 0, 16) : 8;
        for (size_t i = 0; i < row.size(); ++i) switch (asked.kind) {
                case Kind::near_duplicates:
                    row[i] = (*around)[i] != (draw(rng, 0, asked.bits) < 2);
                    break;
                case Kind::all_equal:
                    row[i] = (*around)[i];
                    break;
                default:
                    row[i] = draw(rng, 0, 15) < weight;
            }
    }
    return rows;
}

void set_bit(uint8_t* row, size_t bit) {
    row[bit / 8] = static_cast<uint8_t>(row[bit / 8] | 0x80U >> bit % 8);
}

/// A database and queries on the "device", and what a pass has to find.
struct World {
    Case asked;
    std::vector<Row> codes, queries;
    Bytes tiles, rows;
    std::vector<uint32_t> allowed;
    std::vector<uint64_t> limits;

    World(const Case& asked_, uint64_t seed)
        : asked(asked_),
          tiles(tiles_for(asked_.codes) * tile_bytes(asked_.bits)),
          rows((asked_.queries + query_group) * chunks_per_code(asked_.bits) *
               chunk_bytes(asked_.bits)) {
        Rng rng(seed);
        const Row around = draw_rows(rng, {asked.bits, 1, 1}, 1, nullptr)[0];
        codes = draw_rows(rng, asked, asked.codes, &around);
        queries = draw_rows(rng, asked, asked.queries, &around);
        lay_out();
        allowed.resize(static_cast<size_t>(asked.codes / 32 + 1));
        for (uint32_t& word : allowed) word = static_cast<uint32_t>(rng());
        draw_limits(rng);
    }

    void lay_out() {
        const int64_t bytes = chunk_bytes(asked.bits), chunks = chunks_per_code(asked.bits);
        for (int64_t q = 0; q < asked.queries; ++q) {
            uint8_t* row = rows.data() + q * chunks * bytes;
            std::fill_n(row, chunks * bytes, uint8_t{0});
            for (size_t i = 0; i < queries[static_cast<size_t>(q)].size(); ++i)
                if (queries[static_cast<size_t>(q)][i]) set_bit(row, i);
        }
        for (int64_t slot = 0; slot < asked.codes; ++slot) {
            std::vector<uint8_t> row(static_cast<size_t>(chunks * bytes));
            for (size_t i = 0; i < codes[static_cast<size_t>(slot)].size(); ++i)
                if (codes[static_cast<size_t>(slot)][i]) set_bit(row.data(), i);
            for (int64_t chunk = 0; chunk < chunks; ++chunk)
                std::copy_n(row.data() + chunk * bytes, bytes,
                            tiles.data() + slot / tile_codes * tile_bytes(asked.bits) +
                                (chunk * tile_codes + slot % tile_codes) * bytes);
        }
    }

    int64_t distance(int64_t slot, int64_t q) const {
        const Row &a = codes[static_cast<size_t>(slot)], &b = queries[static_cast<size_t>(q)];
        int64_t sum = 0;
        for (size_t i = 0; i < a.size(); ++i) sum += a[i] != b[i];
        return sum;
    }

    /// None, all, or one of the distances that there are, often where ties are cut.
    void draw_limits(Rng& rng) {
        limits.assign(static_cast<size_t>(asked.left_out), 0);
        for (int64_t q = asked.left_out; q < asked.queries; ++q) {
            const int64_t slot = draw(rng, 0, asked.codes - 1);
            const uint64_t key = hit_key(distance(slot, q), first_position + slot);
            const uint64_t choices[] = {0, key, hit_key(hit_distance(key), 0),
                                        hit_key(hit_distance(key) + 1, 0), no_limit};
            limits.push_back(asked.nearest_only
                                 ? nearest_key(q) + 1
                                 : choices[draw(rng, q % 7 == 0 ? 0 : 1, q % 5 == 0 ? 4 : 3)]);
        }
    }

    uint64_t nearest_key(int64_t q) const {
        uint64_t least = no_limit;
        for (int64_t slot = 0; slot < asked.codes; ++slot)
            least = std::min(least, hit_key(distance(slot, q), first_position + slot));
        return least;
    }

    std::vector<uint64_t> truth(int64_t q, int64_t end_tile) const {
        std::vector<uint64_t> keys;
        for (int64_t tile = asked.first_tile; tile < end_tile; tile += asked.tile_step)
            for (int64_t slot = tile * tile_codes;
                 slot < std::min((tile + 1) * tile_codes, asked.codes); ++slot) {
                const uint64_t key = hit_key(distance(slot, q), first_position + slot);
                const bool may =
                    !asked.filtered || (allowed[static_cast<size_t>(slot / 32)] >> slot % 32 & 1);
                if (may && key < limits[static_cast<size_t>(q)]) keys.push_back(key);
            }
        std::sort(keys.begin(), keys.end());
        return keys;
    }

    static constexpr int64_t first_position = 1'000;
};

void check_scan(Scanner scan, const Case& asked, uint64_t seed) {
    World world(asked, seed);
    const int64_t end_tile = asked.end_tile < 0 ? tiles_for(asked.codes) : asked.end_tile;
    const int64_t room = asked.room < 0 ? asked.codes : asked.room;
    std::vector<int64_t> begin;
    for (int64_t q = 0; q <= asked.queries; ++q) begin.push_back(q * (room + 1));
    constexpr uint64_t untouched = 0xDEADBEEF;
    std::vector<uint64_t> keys(static_cast<size_t>((room + 1) * asked.queries), untouched);
    std::vector<unsigned long long> counts(static_cast<size_t>(asked.queries), 1);
    const SearchPass pass{{world.tiles.data(), asked.codes, asked.bits, World::first_position,
                           asked.filtered ? world.allowed.data() : nullptr, nullptr, 0},
                          asked.first_tile,
                          end_tile,
                          asked.tile_step,
                          {world.rows.data(), asked.queries, nullptr},
                          world.limits.data(),
                          {keys.data(), begin.data(), counts.data()},
                          {nullptr, nullptr, 0, 0}};
    scan(pass, {0, nullptr});
    for (int64_t q = 0; q < asked.queries; ++q) {
        const auto row = static_cast<size_t>(q);
        const std::vector<uint64_t> expected = world.truth(q, end_tile);
        EXPECT(counts[row] == expected.size() + 1);
        // The first place was taken before; what has no room is counted alone.
        auto first = keys.begin() + begin[row] + 1;
        const auto kept = std::min<int64_t>(room, static_cast<int64_t>(expected.size()));
        EXPECT(keys[static_cast<size_t>(begin[row])] == untouched);
        std::vector<uint64_t> found(first, first + kept);
        std::sort(found.begin(), found.end());
        EXPECT(std::all_of(first + kept, keys.begin() + begin[row + 1],
                           [](uint64_t key) { return key == untouched; }));
        if (kept == static_cast<int64_t>(expected.size()))
            EXPECT(found == expected);
        else
            EXPECT(std::includes(expected.begin(), expected.end(), found.begin(), found.end()));
    }
}

/// Where all queries are left out, codes are not even read.
void check_idle_scan(Scanner scan) {
    for (const int64_t bits : {64, 128, 256, 1024}) {
        const std::vector<uint64_t> limits(200, 0);
        Bytes rows(256 * chunks_per_code(bits) * chunk_bytes(bits));
        const SearchPass pass{{nullptr, 100'000, bits, 0, nullptr, nullptr, 0},
                              0,
                              tiles_for(100'000),
                              1,
                              {rows.data(), 200, nullptr},
                              limits.data(),
                              {nullptr, nullptr, nullptr},
                              {nullptr, nullptr, 0, 0}};
        scan(pass, {0, nullptr});
    }
}

std::vector<Case> cases(int64_t most_bits) {
    std::vector<Case> all;
    for (const int64_t bits : {1,   7,   31,  63,  64,  65,  100,  127,  128,  129,  200,  255, 256,
                               257, 384, 511, 512, 700, 769, 1000, 1024, 1025, 1500, 2048, 4100})
        if (bits <= most_bits) all.push_back({bits, 300, 66});
    for (const Kind kind : {Kind::near_duplicates, Kind::all_equal, Kind::light_and_heavy})
        for (const int64_t bits : {64, 128, 256, 600}) all.push_back({bits, 520, 9, kind});
    for (const int64_t bits : {64, 128, 200, 256, 512, 1024})
        all.push_back({bits, 4'000, 14, Kind::uniform, 0, -1, 1, false, -1, true});
    // Enough stages that every one is used again; blocks that get several items or none.
    all.push_back({64, 15'000, 3});
    all.push_back({128, 9'000, 140});
    all.push_back({256, 9'000, 3});
    all.push_back({512, 6'000, 70});
    for (const int64_t left_out : {130, 64, 190})
        all.push_back({128, 9'000, 200, Kind::uniform, 0, -1, 1, false, -1, false, left_out});
    all.push_back({256, 1, 1});
    all.push_back({20, 255, 200});
    all.push_back({256, 5'000, 70, Kind::uniform, 1, 17, 3});
    all.push_back({64, 5'000, 5, Kind::uniform, 2, 19, 5, true});
    all.push_back({300, 1'000, 65, Kind::uniform, 0, -1, 1, true});
    all.push_back({256, 1'000, 20, Kind::all_equal, 0, -1, 1, false, 100});
    all.push_back({64, 1'000, 130, Kind::near_duplicates, 0, -1, 1, false, 0});
    return all;
}

void run_all(const char* name, Scanner scan, int64_t most_bits, int argc, char** argv) {
    uint64_t seed = 0;
    current_case = std::string(name) + ", all queries left out";
    check_idle_scan(scan);
    for (const Case& asked : cases(most_bits)) {
        current_case = std::string(name) + ", " + asked.name();
        check_scan(scan, asked, seed++);
    }
    Rng rng(seed);
    for (const Budget budget(argc, argv); budget.left();) {
        const Case asked{draw(rng, 1, draw(rng, 0, 3) == 0 ? most_bits : 300),
                         draw(rng, 1, 2'000),
                         draw(rng, 1, 150),
                         static_cast<Kind>(draw(rng, 0, 3)),
                         0,
                         -1,
                         draw(rng, 1, 3),
                         draw(rng, 0, 1) == 0,
                         draw(rng, 0, 4) == 0 ? draw(rng, 0, 50) : -1,
                         draw(rng, 0, 2) == 0,
                         0};
        current_case = std::string(name) + ", " + asked.name() + ", seed " + std::to_string(seed);
        check_scan(scan, asked, seed++);
    }
    std::cout << name << ": " << seed << " cases agree\n";
}

}  // namespace
}  // namespace hashcore::test

int main(int argc, char** argv) {
    using namespace hashcore::test;  // NOLINT
    run_all("wgmma", hashcore::cuda::b1::scan_by_wgmma, 4100, argc, argv);
    run_all("mma", hashcore::cuda::b1::scan_by_mma, 1024, argc, argv);
}
