#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace hashcore {

/// The place of a code's bit in its word, as row_words() makes words.
constexpr unsigned place_in_word(uint32_t bit) {
    return bit / 8 % 8 * 8 + 7 - bit % 8;
}

/// Collects chosen bits of a packed row into an integer: bit i of the result is bit chosen[i] of
/// the code. A table a byte of the row: as fast as any instruction where few bytes matter, and the
/// same on every processor.
class BitGather {
 public:
    /// At most 64 bits.
    explicit BitGather(const std::vector<uint32_t>& chosen) {
        for (size_t i = 0; i < chosen.size(); ++i) {
            const size_t byte = chosen[i] / 8;
            const uint8_t mask = static_cast<uint8_t>(0x80U >> (chosen[i] % 8));
            for (size_t value = 0; value < 256; ++value)
                if ((value & mask) != 0) of_byte(byte).value[value] |= uint64_t{1} << i;
        }
    }

    uint64_t operator()(const uint8_t* row) const {
        uint64_t result = 0;
        for (const Part& part : parts_) result |= part.value[row[part.byte]];
        return result;
    }

 private:
    struct Part {
        size_t byte;
        std::array<uint64_t, 256> value;
    };

    Part& of_byte(size_t byte) {
        for (Part& part : parts_)
            if (part.byte == byte) return part;
        return parts_.emplace_back(Part{byte, {}});
    }

    std::vector<Part> parts_;
};

/// The same, of one row.
inline uint64_t gather_bits(const uint8_t* row, const std::vector<uint32_t>& chosen) {
    uint64_t value = 0;
    for (size_t i = 0; i < chosen.size(); ++i)
        value |= (uint64_t{row[chosen[i] / 8]} >> (7 - chosen[i] % 8) & 1) << i;
    return value;
}

/// Puts an integer's bits back: bit i becomes bit chosen[i] of a code of one word, as row_words()
/// makes it.
class BitScatter {
 public:
    /// At most 64 bits.
    explicit BitScatter(const std::vector<uint32_t>& chosen) : bytes_((chosen.size() + 7) / 8) {
        for (size_t i = 0; i < chosen.size(); ++i)
            for (size_t value = 0; value < 256; ++value)
                if ((value >> (i % 8) & 1) != 0)
                    bytes_[i / 8][value] |= uint64_t{1} << place_in_word(chosen[i]);
    }

    uint64_t operator()(uint64_t value) const {
        uint64_t word = 0;
        for (const auto& byte : bytes_) {
            word |= byte[value & 0xFF];
            value >>= 8;
        }
        return word;
    }

 private:
    std::vector<std::array<uint64_t, 256>> bytes_;
};

}  // namespace hashcore
