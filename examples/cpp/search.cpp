// Packs vectors, searches the codes, saves the index and searches the file where it is mapped.
//
//   search FILE     writes the index to FILE and prints "query distance id" lines
#include <cstdint>
#include <cstdio>
#include <exception>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "hashcore/codes.h"
#include "hashcore/index.h"
#include "hashcore/runtime.h"

namespace {

constexpr int64_t vectors = 10'000;
constexpr int64_t bits = 100;
constexpr int64_t queries = 3;
constexpr int64_t k = 5;

/// Codes [vectors, bytes_per_code(bits)] of random vectors.
std::vector<uint8_t> random_codes() {
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    std::vector<float> values(static_cast<size_t>(vectors * bits));
    for (float& value : values) value = normal(random);
    std::vector<uint8_t> codes(static_cast<size_t>(vectors * hashcore::bytes_per_code(bits)));
    hashcore::pack(values.data(), vectors, bits, 0.0, codes.data(), nullptr);
    return codes;
}

struct Hits {
    std::vector<int32_t> distances = std::vector<int32_t>(queries * k);
    std::vector<int64_t> ids = std::vector<int64_t>(queries * k);
    std::vector<int64_t> counts = std::vector<int64_t>(queries);
    bool operator==(const Hits&) const = default;
};

/// The k nearest codes of every query, by (distance, id).
Hits nearest(const hashcore::Index& index, const uint8_t* codes) {
    Hits hits;
    index.search({codes, queries, bits}, k, std::nullopt, {},
                 {hits.distances.data(), hits.ids.data(), hits.counts.data()});
    return hits;
}

void search(const std::string& path) {
    const std::vector<uint8_t> codes = random_codes();
    const auto index = hashcore::make_index(bits, "flat", {}, 0);
    std::vector<int64_t> ids(vectors);
    index->add({codes.data(), vectors, bits}, nullptr, ids.data(), nullptr);
    const Hits hits = nearest(*index, codes.data());

    index->save(path, nullptr);
    const auto mapped = hashcore::load_index(path, true, true, 0, nullptr);
    if (nearest(*mapped, codes.data()) != hits)
        throw std::runtime_error("the file answers otherwise");

    std::printf("%lld codes of %lld bits at level %s\n", static_cast<long long>(mapped->size()),
                static_cast<long long>(mapped->bits()), hashcore::isa().c_str());
    for (int64_t i = 0; i < queries * k; ++i) {
        const auto at = static_cast<size_t>(i);
        std::printf("%lld %d %lld\n", static_cast<long long>(i / k), hits.distances[at],
                    static_cast<long long>(hits.ids[at]));
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "expected: search FILE\n");
        return 2;
    }
    try {
        search(argv[1]);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    return 0;
}
