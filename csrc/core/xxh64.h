#pragma once
#include <cstddef>
#include <cstdint>

namespace hashcore {

/// Streaming XXH64, seed 0, as the xxHash specification defines it (version 0.1.1).
class Xxh64 {
 public:
    Xxh64();
    void update(const void* data, size_t size);
    uint64_t digest() const;

 private:
    void mix(const uint8_t* bytes, size_t size);

    uint64_t lanes_[4];
    uint64_t total_ = 0;
    uint8_t tail_[32] = {};
    size_t tail_size_ = 0;
};

uint64_t xxh64(const void* data, size_t size);

}  // namespace hashcore
