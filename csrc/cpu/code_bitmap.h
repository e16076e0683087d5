#pragma once
#include <cstdint>
#include <memory>

namespace hashcore {

/// A bit for each of `count` codes, code i in bit i % 64 of word i / 64. Zeros follow: whole
/// stretches of words can be read, and one more.
class CodeBitmap {
 public:
    static constexpr int64_t stretch_words = 8;

    CodeBitmap() = default;
    explicit CodeBitmap(int64_t count);  ///< zeros, which take memory once they are touched

    int64_t count() const { return count_; }
    int64_t words() const { return (count_ + 63) / 64; }
    int64_t padded_words() const { return (count_ / (64 * stretch_words) + 2) * stretch_words; }
    int64_t bytes() const { return data_ == nullptr ? 0 : padded_words() * 8; }
    uint64_t* data() { return data_.get(); }
    const uint64_t* data() const { return data_.get(); }

    bool test(int64_t code) const { return (data_[at(code)] & bit(code)) != 0; }
    void set(int64_t code) { data_[at(code)] |= bit(code); }
    void reset(int64_t code) { data_[at(code)] &= ~bit(code); }
    void set_all();

 private:
    static size_t at(int64_t code) { return static_cast<size_t>(code / 64); }
    static uint64_t bit(int64_t code) { return uint64_t{1} << (code % 64); }

    struct Free {
        void operator()(uint64_t* words) const noexcept;
    };
    int64_t count_ = 0;
    std::unique_ptr<uint64_t[], Free> data_;
};

}  // namespace hashcore
