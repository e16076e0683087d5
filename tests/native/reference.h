// The obvious truth, one code and one bit at a time, and the codes that it is asked about.
#pragma once
#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

#include "hashcore/codes.h"

namespace hashcore::test {

using Rng = std::mt19937_64;

/// Uniform in [low, high].
inline int64_t draw(Rng& rng, int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(rng);
}

/// Deals every value before any comes again, in an order of its own.
template <class Value>
class Deck {
 public:
    Deck(std::vector<Value> values, uint64_t seed) : values_(std::move(values)), rng_(seed) {}

    size_t size() const { return values_.size(); }

    Value deal() {
        if (next_ == 0) std::shuffle(values_.begin(), values_.end(), rng_);
        const Value value = values_[next_];
        next_ = (next_ + 1) % values_.size();
        return value;
    }

 private:
    std::vector<Value> values_;
    Rng rng_;
    size_t next_ = 0;
};

/// Packed codes in a buffer that ends with the last of them and starts at any alignment.
class Codes {
 public:
    Codes(int64_t count, int64_t bits, int64_t misaligned = 0)
        : count_(count),
          bits_(bits),
          misaligned_(misaligned),
          bytes_(static_cast<size_t>(misaligned + count * bytes_per_code(bits))) {}

    int64_t count() const { return count_; }
    int64_t bits() const { return bits_; }
    uint8_t* row(int64_t i) { return bytes_.data() + misaligned_ + i * bytes_per_code(bits_); }
    const uint8_t* row(int64_t i) const { return const_cast<Codes*>(this)->row(i); }
    CodesView view() const { return {row(0), count_, bits_}; }

    void flip(int64_t i, int64_t bit) {
        row(i)[bit / 8] = static_cast<uint8_t>(row(i)[bit / 8] ^ (0x80 >> (bit % 8)));
    }
    void copy_row(int64_t to, const Codes& from, int64_t row_of_from) {
        std::copy_n(from.row(row_of_from), bytes_per_code(bits_), row(to));
    }

 private:
    int64_t count_, bits_, misaligned_;
    std::vector<uint8_t> bytes_;
};

inline void randomize_row(Codes& codes, int64_t row, Rng& rng) {
    const int64_t bytes = bytes_per_code(codes.bits());
    for (int64_t byte = 0; byte < bytes; ++byte) codes.row(row)[byte] = static_cast<uint8_t>(rng());
    uint8_t& last = codes.row(row)[bytes - 1];
    last = static_cast<uint8_t>(last & (0xFF << (8 * bytes - codes.bits())));
}

/// Codes around three centres: a third equal to one, a third near one, a third anywhere.
inline Codes clustered_codes(Rng& rng, const Codes& centres, int64_t count, int64_t misaligned) {
    Codes codes(count, centres.bits(), misaligned);
    for (int64_t i = 0; i < count; ++i) {
        codes.copy_row(i, centres, draw(rng, 0, centres.count() - 1));
        const int64_t kind = draw(rng, 0, 2);
        if (kind == 2) randomize_row(codes, i, rng);
        for (int64_t flips = kind == 1 ? draw(rng, 1, 1 + codes.bits() / 40) : 0; flips > 0;
             --flips)
            codes.flip(i, draw(rng, 0, codes.bits() - 1));
    }
    return codes;
}

inline int32_t distance(const uint8_t* a, const uint8_t* b, int64_t bytes) {
    int32_t sum = 0;
    for (int64_t i = 0; i < bytes; i += 8) {
        uint64_t word_of_a = 0, word_of_b = 0;
        std::memcpy(&word_of_a, a + i, static_cast<size_t>(std::min<int64_t>(8, bytes - i)));
        std::memcpy(&word_of_b, b + i, static_cast<size_t>(std::min<int64_t>(8, bytes - i)));
        sum += std::popcount(word_of_a ^ word_of_b);
    }
    return sum;
}

/// Distances [a, b].
inline std::vector<int32_t> distances(const Codes& a, const Codes& b) {
    std::vector<int32_t> out;
    out.reserve(static_cast<size_t>(a.count() * b.count()));
    for (int64_t i = 0; i < a.count(); ++i)
        for (int64_t j = 0; j < b.count(); ++j)
            out.push_back(distance(a.row(i), b.row(j), bytes_per_code(a.bits())));
    return out;
}

/// (distance, position) of every item, best first.
using Ranking = std::vector<std::pair<int32_t, int64_t>>;

inline Ranking ranking(const int32_t* distances, int64_t count) {
    Ranking all;
    for (int64_t i = 0; i < count; ++i) all.emplace_back(distances[i], i);
    std::sort(all.begin(), all.end());
    return all;
}

/// No output of the engine: shows what a call left unwritten.
inline constexpr int32_t unwritten = -77;

}  // namespace hashcore::test
