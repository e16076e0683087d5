#include "core/xxh64.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace hashcore {
namespace {

constexpr uint64_t prime1 = 0x9E3779B185EBCA87U;
constexpr uint64_t prime2 = 0xC2B2AE3D27D4EB4FU;
constexpr uint64_t prime3 = 0x165667B19E3779F9U;
constexpr uint64_t prime4 = 0x85EBCA77C2B2AE63U;
constexpr uint64_t prime5 = 0x27D4EB2F165667C5U;

template <class Word>
Word read_little(const uint8_t* from) {
    static_assert(std::endian::native == std::endian::little);
    Word value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

uint64_t mix_lane(uint64_t lane, uint64_t input) {
    return std::rotl(lane + input * prime2, 31) * prime1;
}

uint64_t merge_lane(uint64_t hash, uint64_t lane) {
    return (hash ^ mix_lane(0, lane)) * prime1 + prime4;
}

}  // namespace

Xxh64::Xxh64() : lanes_{prime1 + prime2, prime2, 0, 0 - prime1} {}

void Xxh64::update(const void* data, size_t size) {
    const auto* bytes = static_cast<const uint8_t*>(data);
    total_ += size;
    if (tail_size_ > 0) {
        const size_t taken = std::min(size, sizeof tail_ - tail_size_);
        std::memcpy(tail_ + tail_size_, bytes, taken);
        tail_size_ += taken;
        bytes += taken;
        size -= taken;
        if (tail_size_ < sizeof tail_) return;
        mix(tail_, sizeof tail_);
    }
    const size_t whole = size / sizeof tail_ * sizeof tail_;
    mix(bytes, whole);
    tail_size_ = size - whole;
    std::memcpy(tail_, bytes + whole, tail_size_);
}

/// `size` is a multiple of 32.
void Xxh64::mix(const uint8_t* bytes, size_t size) {
    uint64_t a = lanes_[0], b = lanes_[1], c = lanes_[2], d = lanes_[3];
    for (; size > 0; size -= 32, bytes += 32) {
        a = mix_lane(a, read_little<uint64_t>(bytes));
        b = mix_lane(b, read_little<uint64_t>(bytes + 8));
        c = mix_lane(c, read_little<uint64_t>(bytes + 16));
        d = mix_lane(d, read_little<uint64_t>(bytes + 24));
    }
    lanes_[0] = a, lanes_[1] = b, lanes_[2] = c, lanes_[3] = d;
}

uint64_t Xxh64::digest() const {
    uint64_t hash = prime5;
    if (total_ >= 32) {
        hash = std::rotl(lanes_[0], 1) + std::rotl(lanes_[1], 7) + std::rotl(lanes_[2], 12) +
               std::rotl(lanes_[3], 18);
        for (const uint64_t lane : lanes_) hash = merge_lane(hash, lane);
    }
    hash += total_;
    const uint8_t* bytes = tail_;
    size_t left = tail_size_;
    for (; left >= 8; left -= 8, bytes += 8)
        hash = std::rotl(hash ^ mix_lane(0, read_little<uint64_t>(bytes)), 27) * prime1 + prime4;
    for (; left >= 4; left -= 4, bytes += 4)
        hash = std::rotl(hash ^ (read_little<uint32_t>(bytes) * prime1), 23) * prime2 + prime3;
    for (; left > 0; --left, ++bytes) hash = std::rotl(hash ^ (*bytes * prime5), 11) * prime1;
    hash = (hash ^ (hash >> 33)) * prime2;
    hash = (hash ^ (hash >> 29)) * prime3;
    return hash ^ (hash >> 32);
}

uint64_t xxh64(const void* data, size_t size) {
    Xxh64 hash;
    hash.update(data, size);
    return hash.digest();
}

}  // namespace hashcore
