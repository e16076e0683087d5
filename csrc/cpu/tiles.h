#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "cpu/kernel_table.h"
#include "hashcore/codes.h"

namespace hashcore {

/// codes_per_block where counts are signed.
inline constexpr int64_t block_codes = static_cast<int64_t>(codes_per_block);

/// A 64-byte-aligned array of words that is not initialised.
class WordBuffer {
 public:
    WordBuffer() = default;
    explicit WordBuffer(int64_t size);

    uint64_t* data() { return data_.get(); }
    const uint64_t* data() const { return data_.get(); }
    int64_t size() const { return size_; }

 private:
    struct Free {
        void operator()(uint64_t* words) const noexcept;
    };
    std::unique_ptr<uint64_t[], Free> data_;
    int64_t size_ = 0;
};

constexpr int64_t blocks_for(int64_t codes) {
    return (codes + block_codes - 1) / block_codes;
}

/// Words that `count` codes take in the interleaved layout.
constexpr int64_t interleaved_words(int64_t count, int64_t bits) {
    return blocks_for(count) * words_per_code(bits) * block_codes;
}

/// Writes codes [begin, begin + count) of `codes` as blocks; lanes past the end are zero.
void interleave(CodesView codes, int64_t begin, int64_t count, uint64_t* blocks);

/// Writes a packed row as the code at `position` of a block array.
void write_code(uint64_t* blocks, int64_t position, int64_t bits, const uint8_t* row);

/// Writes zeros as the codes from `position` to the end of its block.
void zero_block_from(uint64_t* blocks, int64_t position, int64_t bits);

/// Writes the code at `position` of a block array as a packed row.
void read_code(const uint64_t* blocks, int64_t position, int64_t bits, uint8_t* row);

/// Rows as 64-bit words [count, words_per_code], zero past their last byte.
std::vector<uint64_t> row_words(CodesView codes);

/// Codes of one word that are kept in another form.
class WordDecoder {
 public:
    virtual ~WordDecoder() = default;
    /// Writes codes [first, first + count).
    virtual void decode(int64_t first, int64_t count, uint64_t* words) const = 0;
};

/// What a scan runs over: packed rows, blocks that are interleaved already, or what a decoder
/// makes.
class CodeSource {
 public:
    static CodeSource rows(CodesView codes) { return {codes, nullptr}; }
    static CodeSource blocks(const uint64_t* blocks, int64_t count, int64_t bits) {
        return {{nullptr, count, bits}, blocks};
    }
    /// `bits` is at most 64.
    static CodeSource decoded(const WordDecoder& decoder, int64_t count, int64_t bits) {
        return {{nullptr, count, bits}, nullptr, &decoder};
    }

    int64_t count() const { return rows_.count; }
    int64_t bits() const { return rows_.bits; }
    int64_t words() const { return words_per_code(rows_.bits); }

    /// Whether codes are narrow enough for KernelTable::scan_sliced.
    bool can_be_sliced() const { return words() <= static_cast<int64_t>(max_sliced_words); }

    /// Codes of a tile that stays in the first-level cache while queries pass over it.
    int64_t tile_codes() const;

    /// Blocks of codes [begin, begin + count); `begin` is a multiple of codes_per_block. What is
    /// not blocks yet becomes so in `scratch`, which then holds the result.
    const uint64_t* tile(int64_t begin, int64_t count, WordBuffer& scratch) const;

    /// Writes the code at `position` as the code at `target` of a block array.
    void copy_code(int64_t position, uint64_t* blocks, int64_t target) const;

 private:
    CodeSource(CodesView rows, const uint64_t* blocks, const WordDecoder* decoder = nullptr)
        : rows_(rows), blocks_(blocks), decoder_(decoder) {}

    CodesView rows_;
    const uint64_t* blocks_;
    const WordDecoder* decoder_;
};

}  // namespace hashcore
