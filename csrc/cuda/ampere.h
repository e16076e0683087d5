// The binary products of a warp, on compute capability 8.x. Tests have a model of them
// (products_on_host.h).
#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#ifdef HASHCORE_CUDA_ON_HOST
#include <products_on_host.h>
#else

namespace hashcore::cuda::ampere {

/// Differing bits of 16 rows and 8 columns of 256 bits, added.
__device__ inline void add_differing(int (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.xor.popc "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// The same of 128 bits.
__device__ inline void add_differing(int (&d)[4], const uint32_t (&a)[2], const uint32_t (&b)[1]) {
    asm volatile(
        "mma.sync.aligned.m16n8k128.row.col.s32.b1.b1.s32.xor.popc "
        "{%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(b[0]));
}

}  // namespace hashcore::cuda::ampere
#endif
