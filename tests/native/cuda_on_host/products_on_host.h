// The products of the binary tensor core on the host, by the fragments that PTX defines.
#pragma once
#include <cuda_runtime.h>

#include <cstdlib>
#include <iostream>

namespace hashcore::cuda_on_host {

/// Of 16 rows and 256 bits that a warp holds, the two rows that this thread has products of.
struct RowsOfThread {
    uint32_t words[2][8];
};

/// Register r of thread t of four holds word t + 4 (r / 2) of row r % 2.
template <int registers>
RowsOfThread gather_rows(const uint32_t (&a)[registers]) {
    RowsOfThread rows{};
    const unsigned quad = threadIdx.x % 32 / 4 * 4;
    for (int high = 0; high < registers / 2; ++high) {
        const uint64_t* pairs = exchange(a[2 * high] | uint64_t{a[2 * high + 1]} << 32);
        for (unsigned t = 0; t < 4; ++t)
            for (unsigned row = 0; row < 2; ++row)
                rows.words[row][4 * high + static_cast<int>(t)] =
                    static_cast<uint32_t>(pairs[quad + t] >> 32 * row);
    }
    return rows;
}

/// Adds what the rows have in common with 256 columns where a descriptor says: without swizzling,
/// 16 bytes of eight columns stand one behind the other. Gives a digest of the columns.
inline uint64_t add_common(const RowsOfThread& rows, uint64_t b, int (&d)[128]) {
    const size_t start = (b & 0x3FFF) << 4;
    const size_t next_in_row = (b >> 16 & 0x3FFF) << 4, next_eight = (b >> 32 & 0x3FFF) << 4;
    if ((b & ~uint64_t{0x3FFF'3FFF'3FFF}) != 0) {
        std::cerr << "a descriptor has bits that are not modelled" << std::endl;
        std::abort();
    }
    const char* memory = reinterpret_cast<const char*>(shared_memory());
    uint64_t digest = 0;
    for (unsigned block = 0; block < 32; ++block)
        for (unsigned which = 0; which < 2; ++which) {
            const unsigned column = 8 * block + threadIdx.x % 4 * 2 + which;
            uint32_t words[8];
            for (unsigned half = 0; half < 2; ++half)
                std::memcpy(
                    words + 4 * half,
                    memory + start + column / 8 * next_eight + column % 8 * 16 + half * next_in_row,
                    16);
            for (unsigned row = 0; row < 2; ++row)
                for (int w = 0; w < 8; ++w)
                    d[4 * block + 2 * row + which] +=
                        __builtin_popcount(rows.words[row][w] & words[w]);
            for (int w = 0; w < 8; ++w)
                if ((rows.words[0][w] | rows.words[1][w]) != 0)
                    digest = (digest ^ words[w]) * 0x9E3779B97F4A7C15U;
        }
    return digest;
}

/// Adds differing bits of 16 rows and eight columns: thread t of four holds words t, t + 4 of the
/// column that its quad names, and gets products of columns 2 t and 2 t + 1.
template <int registers, int of_column>
void add_differing(int (&d)[4], const uint32_t (&a)[registers], const uint32_t (&b)[of_column]) {
    const RowsOfThread rows = gather_rows(a);
    for (int high = 0; high < of_column; ++high) {
        const uint64_t* words = exchange(b[high]);
        for (unsigned row = 0; row < 2; ++row)
            for (unsigned which = 0; which < 2; ++which) {
                const unsigned column = threadIdx.x % 4 * 2 + which;
                for (unsigned t = 0; t < 4; ++t)
                    d[2 * row + which] +=
                        __builtin_popcount(rows.words[row][4 * high + static_cast<int>(t)] ^
                                           static_cast<uint32_t>(words[4 * column + t]));
            }
    }
}

}  // namespace hashcore::cuda_on_host

namespace hashcore::cuda::ampere {

inline void add_differing(int (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    cuda_on_host::add_differing(d, a, b);
}
inline void add_differing(int (&d)[4], const uint32_t (&a)[2], const uint32_t (&b)[1]) {
    cuda_on_host::add_differing(d, a, b);
}

}  // namespace hashcore::cuda::ampere
