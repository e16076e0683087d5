// What a GPU can do at most, measured in the same run as what it is compared with: a library of one
// function, because nvcc is what make gpu needs anyway, and so that the instructions that are
// measured are those that the engine names, from the same header.
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "cuda/ampere.h"
#include "cuda/hopper.h"

/// A second.
struct HashcoreRates {
    double popcounts;    ///< counts of the bits of 32
    double products;     ///< of two rows of 256 bits; 0 where there is no instruction
    double comparisons;  ///< numbers that go into a maximum
    double bytes;        ///< read
};

namespace {

constexpr int threads = 256;
constexpr int rounds = 7;
constexpr int repeats = 2'000;

__global__ void count_bits(uint32_t seed, uint32_t* to) {
    uint32_t x[8], sum = 0;
    for (uint32_t i = 0; i < 8; ++i) x[i] = seed * (threadIdx.x + i);
#pragma unroll 8
    for (int r = 0; r < repeats; ++r)
#pragma unroll
        for (int i = 0; i < 8; ++i) x[i] = static_cast<uint32_t>(__popc(x[i])) + seed;
#pragma unroll
    for (int i = 0; i < 8; ++i) sum += x[i];
    if (sum == 1) *to = sum;
}

__global__ void compare(int seed, int* to) {
    int most[8], x[8];
    for (int i = 0; i < 8; ++i) most[i] = x[i] = seed * (static_cast<int>(threadIdx.x) + i);
#pragma unroll 8
    for (int r = 0; r < repeats; ++r)
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            most[i] = max(max(x[i], x[(i + 1) % 8]), most[i]);
            asm volatile("" : "+r"(most[i]), "+r"(x[i]));
        }
    int sum = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) sum += most[i];
    if (sum == 1) *to = sum;
}

/// Two warpgroups a block, as the engine has them.
__global__ void __launch_bounds__(256, 1) multiply_by_warpgroups(int count, int* to) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    __shared__ alignas(128) uint32_t codes[2 * 1024];
    for (unsigned i = threadIdx.x; i < 2048; i += blockDim.x) codes[i] = i * 2654435761U;
    hashcore::cuda::hopper::publish_stores();
    __syncthreads();
    const uint64_t b = (hashcore::cuda::hopper::shared_address(codes) & 0x3FFFFU) >> 4 |
                       uint64_t{4096 >> 4} << 16 | uint64_t{128 >> 4} << 32;
    const uint32_t a[4] = {threadIdx.x, ~threadIdx.x, threadIdx.x * 7, 3};
    int d[128];
    for (int i = 0; i < count; ++i) {
        hashcore::cuda::hopper::begin_products();
#pragma unroll
        for (int p = 0; p < 8; ++p) hashcore::cuda::hopper::product(d, a, b, p > 0);
        hashcore::cuda::hopper::end_products();
    }
    int sum = 0;
#pragma unroll
    for (int i = 0; i < 128; ++i) sum += d[i];
    if (sum == 1) *to = sum;
#endif
}

__global__ void __launch_bounds__(256) multiply_by_warps(int count, int* to) {
#if __CUDA_ARCH__ >= 800 && __CUDA_ARCH__ < 900
    const uint32_t a[4] = {threadIdx.x, ~threadIdx.x, threadIdx.x * 7, 3};
    const uint32_t b[2] = {threadIdx.x * 5, 11};
    int d[8][4] = {};
    for (int i = 0; i < count; ++i)
#pragma unroll
        for (int p = 0; p < 8; ++p) hashcore::cuda::ampere::add_differing(d[p], a, b);
    int sum = 0;
#pragma unroll
    for (int p = 0; p < 8; ++p) sum += d[p][0] + d[p][1] + d[p][2] + d[p][3];
    if (sum == 1) *to = sum;
#endif
}

__global__ void __launch_bounds__(threads) read(const uint4* from, int64_t count, uint32_t* to) {
    constexpr int at_once = 8;
    const int64_t stride = int64_t{gridDim.x} * threads * at_once;
    uint32_t sum = 0;
    for (int64_t i = (int64_t{blockIdx.x} * at_once) * threads + threadIdx.x; i < count;
         i += stride) {
        uint4 found[at_once];
#pragma unroll
        for (int j = 0; j < at_once; ++j)
            found[j] = i + j * threads < count ? from[i + j * threads] : uint4{};
#pragma unroll
        for (int j = 0; j < at_once; ++j) sum += found[j].x ^ found[j].y ^ found[j].z ^ found[j].w;
    }
    if (sum == 1) *to = sum;
}

/// Median seconds of what is queued on the default stream, behind one that warms up; negative
/// where it fails.
template <class Queue>
double seconds_of(const Queue& queue) {
    cudaEvent_t start, end;
    if (cudaEventCreate(&start) != cudaSuccess || cudaEventCreate(&end) != cudaSuccess) return -1;
    std::vector<float> taken;
    for (int round = 0; round <= rounds; ++round) {
        float milliseconds = 0;
        (void)cudaEventRecord(start);
        queue();
        (void)cudaEventRecord(end);
        if (cudaEventSynchronize(end) != cudaSuccess) return -1;
        (void)cudaEventElapsedTime(&milliseconds, start, end);
        if (round > 0) taken.push_back(milliseconds);
    }
    (void)cudaEventDestroy(start);
    (void)cudaEventDestroy(end);
    std::sort(taken.begin(), taken.end());
    return cudaGetLastError() == cudaSuccess ? taken[taken.size() / 2] / 1e3 : -1;
}

}  // namespace

/// Rates of the current device, with a buffer of so many bytes to read. The status is CUDA's.
extern "C" int hashcore_ceilings(int64_t bytes, HashcoreRates* rates) {
    int device = 0;
    cudaDeviceProp properties{};
    cudaError_t status = cudaGetDevice(&device);
    if (status == cudaSuccess) status = cudaGetDeviceProperties(&properties, device);
    char* buffer = nullptr;
    if (status == cudaSuccess) status = cudaMalloc(&buffer, static_cast<size_t>(bytes));
    if (status == cudaSuccess) status = cudaMemset(buffer, 0x5A, static_cast<size_t>(bytes));
    if (status != cudaSuccess) return status;
    const int blocks = 8 * properties.multiProcessorCount;
    const double operations = 1.0 * blocks * threads * repeats * 8;
    auto* words = reinterpret_cast<uint32_t*>(buffer);
    auto* numbers = reinterpret_cast<int*>(buffer);
    constexpr int products = 4'000;
    rates->popcounts = operations / seconds_of([&] { count_bits<<<blocks, threads>>>(3, words); });
    rates->comparisons =
        2 * operations / seconds_of([&] { compare<<<blocks, threads>>>(3, numbers); });
    if (properties.major == 9) {
        const int all = properties.multiProcessorCount;
        rates->products = 2.0 * all * products * 8 * 64 * 256 / seconds_of([&] {
                              multiply_by_warpgroups<<<all, 256>>>(products, numbers);
                          });
    } else if (properties.major == 8) {
        rates->products = 1.0 * blocks * 8 * products * 8 * 16 * 8 / seconds_of([&] {
                              multiply_by_warps<<<blocks, 256>>>(products, numbers);
                          });
    } else {
        rates->products = 0;
    }
    rates->bytes = static_cast<double>(bytes) / seconds_of([&] {
                       read<<<4 * properties.multiProcessorCount * 4, threads>>>(
                           reinterpret_cast<const uint4*>(buffer), bytes / 16, words);
                   });
    (void)cudaFree(buffer);
    return cudaGetLastError();
}
