// Fields of a file's page.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace hashcore {

inline constexpr uint64_t page_size = 4096;

constexpr uint64_t padded(uint64_t size) {
    return (size + page_size - 1) / page_size * page_size;
}

template <class T>
void put(uint8_t* page, size_t offset, T value) {
    std::memcpy(page + offset, &value, sizeof value);
}

template <class T>
T take(const uint8_t* page, size_t offset) {
    T value;
    std::memcpy(&value, page + offset, sizeof value);
    return value;
}

}  // namespace hashcore
