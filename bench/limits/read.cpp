#include "read.h"

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <new>
#include <thread>
#ifdef __linux__
#include <sys/mman.h>
#endif

namespace hashcore::limits {
namespace {

constexpr size_t page = size_t{2} << 20;
constexpr size_t part_words = 64;  // Level::sum takes multiples of this

struct Free {
    void operator()(uint64_t* buffer) const { std::free(buffer); }
};
using Buffer = std::unique_ptr<uint64_t, Free>;

/// Large pages where the system gives them: the limit is the memory's, not the page table's.
Buffer make_buffer(size_t bytes) {
    Buffer buffer(static_cast<uint64_t*>(std::aligned_alloc(page, bytes)));
    if (!buffer) throw std::bad_alloc();
#ifdef __linux__
    madvise(buffer.get(), bytes, MADV_HUGEPAGE);
#endif
    std::fill_n(buffer.get(), bytes / sizeof(uint64_t), 1);
    return buffer;
}

double read_seconds(const Level& level, const uint64_t* words, size_t count, size_t threads) {
    const size_t share = count / threads / part_words * part_words;
    std::barrier gate(static_cast<std::ptrdiff_t>(threads));
    const auto read_part = [&](size_t part) {
        uint64_t sum = level.sum(words + part * share, share);
        asm volatile("" : "+r"(sum));
    };
    std::vector<std::jthread> others;
    for (size_t part = 1; part < threads; ++part)
        others.emplace_back([&, part] {
            gate.arrive_and_wait();
            read_part(part);
        });
    gate.arrive_and_wait();
    const auto start = std::chrono::steady_clock::now();
    read_part(0);
    others.clear();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

std::vector<Read> measure_reads(const Level& level, size_t bytes, int rounds) {
    const size_t all = std::max(1U, std::thread::hardware_concurrency());
    std::vector<Read> reads;
    for (size_t threads = 1; threads < all; threads *= 2) reads.push_back({threads, 0.0});
    reads.push_back({all, 0.0});
    const Buffer buffer = make_buffer((bytes + page - 1) / page * page);
    for (int round = 0; round < rounds; ++round)
        for (Read& read : reads) {
            const double seconds =
                read_seconds(level, buffer.get(), bytes / sizeof(uint64_t), read.threads);
            read.bytes_per_second =
                std::max(read.bytes_per_second, static_cast<double>(bytes) / seconds);
        }
    return reads;
}

}  // namespace hashcore::limits
