#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

#include "cpu/tiles.h"
#include "hashcore/search.h"

namespace hashcore {

/// The codes that a filter lets through, one bit a position.
class AllowedCodes {
 public:
    /// `ids` [count] ascend; null means that a position is its own id.
    AllowedCodes(const Filter& filter, const int64_t* ids, int64_t count);

    int64_t total() const { return total_; }

    /// A byte a block of eight codes; `begin` is a multiple of eight, as below.
    const uint8_t* block_masks(int64_t begin) const {
        return reinterpret_cast<const uint8_t*>(words_.data()) + begin / 8;
    }

    /// Bits of up to 64 codes from `begin`, the first in the lowest bit; zero past `count`.
    uint64_t bits_of(int64_t begin, int64_t count) const {
        uint64_t word;
        std::memcpy(&word, block_masks(begin), sizeof word);
        return count < 64 ? word & ((uint64_t{1} << count) - 1) : word;
    }

    int64_t count_in(int64_t begin, int64_t count) const {
        int64_t found = 0;
        for (int64_t done = 0; done < count; done += 64)
            found += std::popcount(bits_of(begin + done, count - done));
        return found;
    }

    template <class Visit>
    void for_each(int64_t begin, int64_t count, const Visit& visit) const {
        for (int64_t done = 0; done < count; done += 64)
            for (uint64_t word = bits_of(begin + done, count - done); word != 0; word &= word - 1)
                visit(begin + done + std::countr_zero(word));
    }

    /// Finds the allowed codes from `begin` on by their number among them, in ascending order.
    class Walk {
     public:
        Walk(const AllowedCodes& allowed, int64_t begin) : allowed_(&allowed), begin_(begin) {}
        int64_t code_of_rank(int64_t rank);

     private:
        const AllowedCodes* allowed_;
        int64_t begin_;
        int64_t passed_ = 0;  // allowed codes before begin_
    };

 private:
    std::vector<uint64_t> words_;  // one more than the codes need, so that bits_of may read past
    int64_t total_ = 0;
};

/// A tile to scan. With `allowed`, only the codes whose bit is set may become hits.
struct Tile {
    const uint64_t* blocks;
    int64_t count;
    const uint8_t* allowed;  ///< a byte a block, or null when all are
};

/// Codes behind a filter. A tile of which enough is forbidden is gathered: its allowed codes move
/// together, in order, and take the positions from the tile's begin on, so that the order of
/// positions is still the order of codes. to_codes() turns such positions back.
class FilteredSource {
 public:
    /// `allowed` may be null. Gathering a code costs about as much as scanning it
    /// `gather_cost` times; `queries_per_pass` says how often it will be scanned.
    FilteredSource(const CodeSource& source, const AllowedCodes* allowed, int64_t queries_per_pass)
        : source_(source), allowed_(allowed), queries_(queries_per_pass) {}

    const CodeSource& source() const { return source_; }
    const AllowedCodes* allowed() const { return allowed_; }

    /// `begin` is a multiple of tile_codes() and `count` reaches the next one or the end.
    Tile tile(int64_t begin, int64_t count, WordBuffer& scratch) const;

    /// Turns the positions of hits into codes; the positions ascend.
    void to_codes(Hit* first, Hit* last) const;

 private:
    static constexpr int64_t gather_cost = 16;

    bool gathers(int64_t allowed, int64_t count) const {
        return allowed < count && allowed * (queries_ + gather_cost) < count * queries_;
    }

    CodeSource source_;
    const AllowedCodes* allowed_;
    int64_t queries_;
};

}  // namespace hashcore
