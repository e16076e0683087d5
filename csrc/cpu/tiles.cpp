#include "cpu/tiles.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace hashcore {
namespace {

constexpr std::align_val_t alignment{64};
constexpr int64_t tile_bytes = 32 * 1024;
constexpr int64_t slice_multiple = 512;  // codes of a slice at the widest level

/// Words of a packed row, zero past its last byte, each handed to put(word, value).
template <class Put>
void for_each_word(const uint8_t* row, int64_t bytes, const Put& put) {
    const int64_t whole = bytes / 8;
    for (int64_t w = 0; w < whole; ++w) {
        uint64_t value;
        std::memcpy(&value, row + w * 8, 8);
        put(w, value);
    }
    if (whole * 8 < bytes) {
        uint64_t value = 0;
        std::memcpy(&value, row + whole * 8, static_cast<size_t>(bytes - whole * 8));
        put(whole, value);
    }
}

int64_t first_word(int64_t position, int64_t bits) {
    return position / block_codes * words_per_code(bits) * block_codes + position % block_codes;
}

}  // namespace

WordBuffer::WordBuffer(int64_t size)
    : data_(static_cast<uint64_t*>(
          ::operator new[](static_cast<size_t>(size) * sizeof(uint64_t), alignment))),
      size_(size) {}

void WordBuffer::Free::operator()(uint64_t* words) const noexcept {
    ::operator delete[](words, alignment);
}

void interleave(CodesView codes, int64_t begin, int64_t count, uint64_t* blocks) {
    const int64_t bytes = bytes_per_code(codes.bits);
    const int64_t words = words_per_code(codes.bits);
    const uint8_t* rows = codes.data + begin * bytes;
    if (bytes == 8) {  // a block of one-word codes is the rows themselves
        std::memcpy(blocks, rows, static_cast<size_t>(count * 8));
        std::fill(blocks + count, blocks + blocks_for(count) * block_codes, uint64_t{0});
        return;
    }
    for (int64_t b = 0; b < blocks_for(count); ++b, blocks += words * block_codes) {
        const int64_t present = std::min(block_codes, count - b * block_codes);
        for (int64_t lane = 0; lane < present; ++lane)
            for_each_word(
                rows + (b * block_codes + lane) * bytes, bytes,
                [&](int64_t w, uint64_t value) { blocks[w * block_codes + lane] = value; });
        if (present < block_codes) zero_block_from(blocks, present, codes.bits);
    }
}

void write_code(uint64_t* blocks, int64_t position, int64_t bits, const uint8_t* row) {
    uint64_t* code = blocks + first_word(position, bits);
    for_each_word(row, bytes_per_code(bits),
                  [&](int64_t w, uint64_t value) { code[w * block_codes] = value; });
}

void zero_block_from(uint64_t* blocks, int64_t position, int64_t bits) {
    for (; position % block_codes != 0; ++position)
        for (int64_t w = 0; w < words_per_code(bits); ++w)
            blocks[first_word(position, bits) + w * block_codes] = 0;
}

void read_code(const uint64_t* blocks, int64_t position, int64_t bits, uint8_t* row) {
    const int64_t bytes = bytes_per_code(bits);
    const uint64_t* code = blocks + first_word(position, bits);
    for (int64_t w = 0; w < words_per_code(bits); ++w)
        std::memcpy(row + w * 8, code + w * block_codes,
                    static_cast<size_t>(std::min<int64_t>(8, bytes - w * 8)));
}

std::vector<uint64_t> row_words(CodesView codes) {
    const int64_t bytes = bytes_per_code(codes.bits);
    const int64_t words = words_per_code(codes.bits);
    std::vector<uint64_t> result(static_cast<size_t>(codes.count * words));
    for (int64_t row = 0; row < codes.count; ++row)
        for_each_word(codes.data + row * bytes, bytes, [&](int64_t w, uint64_t value) {
            result[static_cast<size_t>(row * words + w)] = value;
        });
    return result;
}

int64_t CodeSource::tile_codes() const {
    const int64_t unit = can_be_sliced() ? slice_multiple : block_codes;
    return std::max(unit, tile_bytes / (words() * 8) / unit * unit);
}

const uint64_t* CodeSource::tile(int64_t begin, int64_t count, WordBuffer& scratch) const {
    if (blocks_ != nullptr) return blocks_ + begin * words();
    const int64_t needed = interleaved_words(count, bits());
    if (scratch.size() < needed) scratch = WordBuffer(needed);
    if (decoder_ != nullptr) {
        decoder_->decode(begin, count, scratch.data());
        std::fill(scratch.data() + count, scratch.data() + needed, uint64_t{0});
        return scratch.data();
    }
    interleave(rows_, begin, count, scratch.data());
    return scratch.data();
}

void CodeSource::copy_code(int64_t position, uint64_t* blocks, int64_t target) const {
    if (decoder_ != nullptr)
        return decoder_->decode(position, 1, blocks + first_word(target, bits()));
    if (blocks_ == nullptr)
        return write_code(blocks, target, bits(), rows_.data + position * bytes_per_code(bits()));
    const uint64_t* from = blocks_ + first_word(position, bits());
    uint64_t* to = blocks + first_word(target, bits());
    for (int64_t w = 0; w < words(); ++w) to[w * block_codes] = from[w * block_codes];
}

}  // namespace hashcore
