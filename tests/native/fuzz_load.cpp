// Files of any bytes: load_index() refuses them, or gives an index that is safe to use.
//
// LLVMFuzzerTestOneInput is libFuzzer's entry (-DHASHCORE_LIBFUZZER=ON, with clang). Other
// compilers get a main() that changes the files of a folder:
//
//   fuzz_load SECONDS FOLDER [FIRST]     draws cases FIRST, FIRST + 1, ...
//
// A case is its number, so that one that failed can be drawn again.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "check.h"
#include "core/pages.h"
#include "core/xxh64.h"
#include "hashcore/errors.h"
#include "hashcore/index.h"
#include "reference.h"
#include "temporary_folder.h"

namespace hashcore::test {
namespace {

using Bytes = std::vector<uint8_t>;

/// Everything that reads what a file said. Answers may be wrong, where the file was.
void use(Index& index, bool verified, bool compacting) {
    const Codes queries(2, index.bits());
    std::vector<int32_t> distances(6);
    std::vector<int64_t> found(6), counts(2);
    SearchOptions options;
    options.threads = 1;
    index.search(queries.view(), 3, std::nullopt, options,
                 {distances.data(), found.data(), counts.data()});
    EXPECT(counts[0] <= 3 && distances[0] >= 0 && distances[0] <= index.bits() + 1);
    index.range_search(queries.view(), index.bits() / 8, 5, options);
    index.range_search(queries.view(), index.bits(), std::nullopt, options);
    const std::vector<int64_t> ids = index.all_ids();
    EXPECT(static_cast<int64_t>(ids.size()) == index.size());
    const int64_t some = std::min<int64_t>(index.size(), 5);
    Codes codes(some, index.bits());
    try {
        index.get(ids.data(), some, codes.row(0));
        const int64_t removed = index.remove(ids.data(), some, nullptr);
        EXPECT(!verified || removed == some);
    } catch (const std::logic_error&) {  // ids that nobody verified may be negative, or in no order
        EXPECT(!verified);
    }
    if (compacting) index.compact(nullptr);
    EXPECT(!index.stats().empty());
}

/// Whether such a file was taken with every check, read and mapped.
bool load_and_use(const uint8_t* data, size_t size) {
    static const TemporaryFolder folder;
    static const std::string path = folder.path("input.hci");
    std::filesystem::remove(path);  // what is cut short and written anew may go to the disk at once
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
    const bool plans = xxh64(data, size) % 8 == 0;  // planning new tables takes most of the time
    bool taken = true;
    for (const bool map : {false, true}) {
        for (const bool verify : {false, true}) {
            try {
                const auto index = load_index(path, map, verify, 1, nullptr);
                const bool flat = index->kind() == "flat";
                // The tables of a file that nobody verified are trusted.
                if (verify || flat) use(*index, verify, flat || plans);
            } catch (const FormatError&) {
                taken = taken && !verify;
            }
        }
    }
    return taken;
}

#ifndef HASHCORE_LIBFUZZER

/// Where the sections are listed: version 1 has them at byte 64.
size_t table_of(const Bytes& file) {
    return take<uint32_t>(file.data(), 8) == 1 ? 64 : 128;
}

size_t section_count(const Bytes& file) {
    return std::min<size_t>(take<uint32_t>(file.data(), 56), (page_size - table_of(file)) / 32);
}

/// Sets the checksums right, as a wrong writer would, so that what they hide is reached.
void repair(Bytes& file) {
    if (file.size() < page_size) return;
    const size_t table = table_of(file);
    for (size_t i = 0; i < section_count(file); ++i) {
        const size_t entry = table + 32 * i;
        const auto offset = take<uint64_t>(file.data(), entry + 8);
        const auto length = take<uint64_t>(file.data(), entry + 16);
        if (offset > file.size() || length > file.size() - offset) continue;
        const uint64_t end = std::min<uint64_t>(offset + padded(length), file.size());
        put(file.data(), entry + 24, xxh64(file.data() + offset, end - offset));
    }
    put(file.data(), 48, uint64_t{file.size()});
    put(file.data(), page_size - 8, xxh64(file.data(), page_size - 8));
}

/// A place that something reads: a field of the header, a section's entry, or a section.
size_t draw_place(const Bytes& file, Rng& rng) {
    const auto size = static_cast<int64_t>(file.size());
    if (size < static_cast<int64_t>(page_size)) return static_cast<size_t>(draw(rng, 0, size - 1));
    const auto sections = static_cast<int64_t>(section_count(file));
    const auto table = static_cast<int64_t>(table_of(file));
    const int64_t kind = draw(rng, 0, 3);
    if (kind == 0) return static_cast<size_t>(draw(rng, 0, table - 1));
    if (sections == 0 || kind == 3) return static_cast<size_t>(draw(rng, 0, size - 1));
    const auto entry = static_cast<size_t>(table + 32 * draw(rng, 0, sections - 1));
    if (kind == 1) return entry + static_cast<size_t>(draw(rng, 0, 31));
    const auto offset = take<uint64_t>(file.data(), entry + 8);
    const auto length = take<uint64_t>(file.data(), entry + 16);
    if (offset >= file.size()) return 0;
    const uint64_t there = std::clamp<uint64_t>(length, 1, file.size() - offset);
    return static_cast<size_t>(offset) +
           static_cast<size_t>(draw(rng, 0, static_cast<int64_t>(there) - 1));
}

/// A number that such fields are compared with.
uint64_t draw_number(const Bytes& file, Rng& rng) {
    const int64_t kind = draw(rng, 0, 4);
    if (kind == 0) return rng() >> draw(rng, 0, 63);
    if (kind == 1) return uint64_t{1} << draw(rng, 0, 63);
    if (kind == 2) return 0 - static_cast<uint64_t>(draw(rng, 0, 9));
    if (kind == 3) return file.size() - static_cast<uint64_t>(draw(rng, 0, 2)) * page_size;
    return static_cast<uint64_t>(draw(rng, 0, 100));
}

void change(Bytes& file, Rng& rng) {
    const auto put_number = [&](size_t size) {
        const uint64_t number = draw_number(file, rng);
        const size_t place = draw_place(file, rng) / size * size;
        if (place + size <= file.size()) std::memcpy(file.data() + place, &number, size);
    };
    switch (draw(rng, 0, 6)) {
        case 0:
            file[draw_place(file, rng)] ^= static_cast<uint8_t>(1U << draw(rng, 0, 7));
            break;
        case 1:
            file[draw_place(file, rng)] = static_cast<uint8_t>(rng());
            break;
        case 2:
            return put_number(4);
        case 3:
            return put_number(8);
        case 4: {  // numbers near each other change places
            const size_t place = draw_place(file, rng) / 8 * 8;
            const size_t other = place + 4 * static_cast<size_t>(draw(rng, 1, 8));
            if (other + 4 <= file.size())
                std::swap_ranges(file.begin() + static_cast<std::ptrdiff_t>(place),
                                 file.begin() + static_cast<std::ptrdiff_t>(place) + 4,
                                 file.begin() + static_cast<std::ptrdiff_t>(other));
            break;
        }
        case 5: {  // one part of the file stands for another
            const size_t from = draw_place(file, rng);
            const size_t to = draw_place(file, rng);
            const size_t size = std::min(
                {static_cast<size_t>(draw(rng, 1, 64)), file.size() - from, file.size() - to});
            std::memmove(file.data() + to, file.data() + from, size);
            break;
        }
        default:
            if (draw(rng, 0, 3) != 0) return put_number(4);
            file.resize(draw(rng, 0, 1) == 0 ? draw_place(file, rng) + 1 : file.size() + page_size);
    }
}

struct Tally {
    int64_t refused = 0, taken = 0, repaired_and_taken = 0;
};

void run_case(const std::vector<Bytes>& seeds, uint64_t number, Tally& tally) {
    Rng rng(number);
    const Bytes& seed = seeds[number % seeds.size()];
    Bytes file = seed;
    for (int64_t changes = draw(rng, 1, 4); changes > 0; --changes) change(file, rng);
    const bool repaired = draw(rng, 0, 1) == 1;
    if (repaired) repair(file);
    current_case = "number " + std::to_string(number);
    const bool taken = load_and_use(file.data(), file.size());
    EXPECT(repaired || taken == (file == seed));
    ++(taken ? tally.taken : tally.refused);
    if (taken && file != seed) ++tally.repaired_and_taken;
}

int run(const Budget& budget, const std::filesystem::path& folder, uint64_t first) {
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(folder))
        paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());
    std::vector<Bytes> seeds;
    for (const std::filesystem::path& path : paths) {
        std::ifstream file(path, std::ios::binary);
        seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
        current_case = path.string();
        EXPECT(load_and_use(seeds.back().data(), seeds.back().size()));
    }
    constexpr uint64_t fewest = 500;
    Tally tally;
    uint64_t number = first;
    for (; number < first + fewest || budget.left(); ++number) run_case(seeds, number, tally);
    EXPECT(tally.refused > 0 && tally.repaired_and_taken > 0);
    std::cout << number - first << " changed files: " << tally.refused << " refused, "
              << tally.repaired_and_taken << " taken with other contents\n";
    return 0;
}

#endif

}  // namespace
}  // namespace hashcore::test

#ifdef HASHCORE_LIBFUZZER
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    hashcore::test::load_and_use(data, size);
    return 0;
}
#else
int main(int argc, char** argv) {
    if (argc < 3) {
        std::cerr << "usage: fuzz_load SECONDS FOLDER [FIRST]\n";
        return 2;
    }
    return hashcore::test::run(hashcore::test::Budget(argc, argv), argv[2],
                               argc > 3 ? std::stoull(argv[3]) : 1);
}
#endif
