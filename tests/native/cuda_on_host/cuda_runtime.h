// Enough of CUDA to run the kernels on the host, for tests where no GPU is: the threads of a block
// take turns in a random order and change at barriers only, so that a barrier that is missing
// shows. Memory of the device is memory of the host, and a launch has ended when it returns.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>

#define HASHCORE_CUDA_ON_HOST
#define __CUDACC__
#define __global__
#define __device__
#define __host__
#define __shared__ static

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

// Of the thread whose turn it is.
inline dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace hashcore::cuda_on_host {

enum class Barrier { block, warp };

/// Gives the turn to others until the threads of this block or warp have come here.
void wait(Barrier barrier);

/// Runs a kernel for every thread of every block.
void run(dim3 blocks, dim3 threads, size_t shared_bytes, const std::function<void()>& kernel);

uint64_t* shared_memory();

/// HASHCORE_TEST_SHARED_MEMORY, or what an H200 has.
int shared_memory_limit();

}  // namespace hashcore::cuda_on_host

namespace hashcore::cuda {
inline uint64_t* shared_on_host() {
    return cuda_on_host::shared_memory();
}
}  // namespace hashcore::cuda

inline void __syncthreads() {
    hashcore::cuda_on_host::wait(hashcore::cuda_on_host::Barrier::block);
}
inline void __syncwarp() {
    hashcore::cuda_on_host::wait(hashcore::cuda_on_host::Barrier::warp);
}
inline int atomicAdd(int* to, int value) {
    const int before = *to;
    *to += value;
    return before;
}
inline unsigned long long atomicMin(unsigned long long* kept, unsigned long long value) {
    const unsigned long long before = *kept;
    if (value < before) *kept = value;
    return before;
}

enum cudaError_t { cudaSuccess, cudaErrorInvalidValue };
enum cudaDeviceAttr { cudaDevAttrMaxSharedMemoryPerBlockOptin, cudaDevAttrMultiProcessorCount };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize };
using cudaStream_t = void*;

struct cudaDeviceProp {
    char name[256] = "the host";
    int major = 9, minor = 0, multiProcessorCount = 3;
    size_t totalGlobalMem = size_t{1} << 30;
};
struct cudaLaunchConfig_t {
    dim3 gridDim, blockDim;
    size_t dynamicSmemBytes;
    cudaStream_t stream;
};

inline cudaError_t cudaGetLastError() {
    return cudaSuccess;
}
inline const char* cudaGetErrorString(cudaError_t status) {
    return status == cudaSuccess ? "no error" : "invalid argument";
}
inline cudaError_t cudaGetDevice(int* device) {
    *device = 0;
    return cudaSuccess;
}
inline cudaError_t cudaSetDevice(int device) {
    return device == 0 ? cudaSuccess : cudaErrorInvalidValue;
}
inline cudaError_t cudaGetDeviceCount(int* count) {
    *count = 1;
    return cudaSuccess;
}
inline cudaError_t cudaDriverGetVersion(int* version) {
    *version = 13000;
    return cudaSuccess;
}
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
    *properties = {};
    return cudaSetDevice(device);
}
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
    *value = attribute == cudaDevAttrMultiProcessorCount
                 ? cudaDeviceProp{}.multiProcessorCount
                 : hashcore::cuda_on_host::shared_memory_limit();
    return cudaSetDevice(device);
}
template <class Kernel>
cudaError_t cudaFuncSetAttribute(Kernel, cudaFuncAttribute, int bytes) {
    return bytes <= hashcore::cuda_on_host::shared_memory_limit() ? cudaSuccess
                                                                  : cudaErrorInvalidValue;
}
template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments... arguments) {
    const size_t threads = config->blockDim.x;
    if (threads == 0 || threads > 1024 || config->gridDim.x == 0 || config->gridDim.y == 0)
        return cudaErrorInvalidValue;
    hashcore::cuda_on_host::run(config->gridDim, config->blockDim, config->dynamicSmemBytes,
                                [&] { kernel(arguments...); });
    return cudaSuccess;
}
