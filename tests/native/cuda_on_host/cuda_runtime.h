// Enough of CUDA to run the kernels on the host, for tests where no GPU is: the threads of a block
// take turns in a random order and change at barriers only, so that a barrier that is missing
// shows. Memory of the device is memory of the host, and a launch has ended when it returns.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

#define HASHCORE_CUDA_ON_HOST
#define __CUDACC__
#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __launch_bounds__(...)

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

/// Gives the turn to others until the condition holds.
void wait_until(const std::function<bool()>& condition);

/// Does it at some later time of this block.
void later(const std::function<void()>& action);

/// Runs a kernel for every thread of every block.
void run(dim3 blocks, dim3 threads, size_t shared_bytes, const std::function<void()>& kernel);

uint64_t* shared_memory();

/// Gives every thread of the warp what each of the 32 brings; all of them have to come.
const uint64_t* exchange(uint64_t value);

/// HASHCORE_TEST_DEVICES, or 1.
int devices();

/// Memory of the device that starts as no number; null where HASHCORE_TEST_DEVICE_MEMORY, in bytes,
/// is too little. Ends the process where something wrote behind it.
void* take_memory(size_t bytes);
void give_memory_back(void* memory);
size_t memory_left();

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
inline unsigned long long atomicMin(unsigned long long* kept, unsigned long long value) {
    const unsigned long long before = *kept;
    if (value < before) *kept = value;
    return before;
}

inline unsigned __ballot_sync(unsigned, bool vote) {
    const uint64_t* votes = hashcore::cuda_on_host::exchange(vote ? 1 : 0);
    unsigned mask = 0;
    for (int lane = 0; lane < 32; ++lane) mask |= votes[lane] != 0 ? 1U << lane : 0;
    return mask;
}
inline int __any_sync(unsigned mask, bool vote) {
    return __ballot_sync(mask, vote) != 0 ? 1 : 0;
}
inline unsigned long long __shfl_sync(unsigned, unsigned long long value, int lane) {
    return hashcore::cuda_on_host::exchange(value)[lane];
}
inline int __ffs(int word) {
    return __builtin_ffs(word);
}
template <class T>
T add_on_host(T* to, T value) {
    const T before = *to;
    *to += value;
    return before;
}
inline int atomicAdd(int* to, int value) {
    return add_on_host(to, value);
}
inline unsigned atomicAdd(unsigned* to, unsigned value) {
    return add_on_host(to, value);
}
inline unsigned long long atomicAdd(unsigned long long* to, unsigned long long value) {
    return add_on_host(to, value);
}

enum cudaError_t {
    cudaSuccess,
    cudaErrorInvalidValue,
    cudaErrorMemoryAllocation,
    cudaErrorInvalidDevice
};
enum cudaDeviceAttr {
    cudaDevAttrMaxSharedMemoryPerBlockOptin,
    cudaDevAttrMultiProcessorCount,
    cudaDevAttrComputeCapabilityMajor,
    cudaDevAttrComputeCapabilityMinor
};
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
    switch (status) {
        case cudaSuccess:
            return "no error";
        case cudaErrorInvalidValue:
            return "invalid argument";
        case cudaErrorMemoryAllocation:
            return "out of memory";
        case cudaErrorInvalidDevice:
            return "invalid device ordinal";
    }
    return "";
}
inline int current_device_on_host = 0;
inline cudaError_t cudaGetDevice(int* device) {
    *device = current_device_on_host;
    return cudaSuccess;
}
inline cudaError_t cudaSetDevice(int device) {
    if (device < 0 || device >= hashcore::cuda_on_host::devices()) return cudaErrorInvalidDevice;
    current_device_on_host = device;
    return cudaSuccess;
}
inline cudaError_t cudaGetDeviceCount(int* count) {
    *count = hashcore::cuda_on_host::devices();
    return cudaSuccess;
}
inline cudaError_t cudaDriverGetVersion(int* version) {
    *version = 13000;
    return cudaSuccess;
}
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
    *properties = {};
    return device < hashcore::cuda_on_host::devices() ? cudaSuccess : cudaErrorInvalidDevice;
}
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
    const cudaDeviceProp properties;
    switch (attribute) {
        case cudaDevAttrMaxSharedMemoryPerBlockOptin:
            *value = hashcore::cuda_on_host::shared_memory_limit();
            break;
        case cudaDevAttrMultiProcessorCount:
            *value = properties.multiProcessorCount;
            break;
        case cudaDevAttrComputeCapabilityMajor:
            *value = properties.major;
            break;
        case cudaDevAttrComputeCapabilityMinor:
            *value = properties.minor;
            break;
    }
    return device < hashcore::cuda_on_host::devices() ? cudaSuccess : cudaErrorInvalidDevice;
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

// Streams and events: all is done when a call returns.
using cudaEvent_t = void*;
enum { cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2, cudaHostAllocDefault = 0 };
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };

inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
    *stream = nullptr;
    return cudaSuccess;
}
inline cudaError_t cudaStreamDestroy(cudaStream_t) {
    return cudaSuccess;
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t) {
    return cudaSuccess;
}
inline cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) {
    return cudaSuccess;
}
inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
    *event = nullptr;
    return cudaSuccess;
}
inline cudaError_t cudaEventDestroy(cudaEvent_t) {
    return cudaSuccess;
}
inline cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) {
    return cudaSuccess;
}
inline cudaError_t cudaEventSynchronize(cudaEvent_t) {
    return cudaSuccess;
}
inline cudaError_t cudaMallocAsync(void** memory, size_t bytes, cudaStream_t) {
    *memory = hashcore::cuda_on_host::take_memory(bytes);
    return *memory == nullptr ? cudaErrorMemoryAllocation : cudaSuccess;
}
inline cudaError_t cudaFreeAsync(void* memory, cudaStream_t) {
    hashcore::cuda_on_host::give_memory_back(memory);
    return cudaSuccess;
}
inline cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
    *free = hashcore::cuda_on_host::memory_left();
    *total = cudaDeviceProp{}.totalGlobalMem;
    return cudaSuccess;
}
inline cudaError_t cudaHostAlloc(void** memory, size_t bytes, unsigned) {
    *memory = new char[bytes];
    return cudaSuccess;
}
inline cudaError_t cudaFreeHost(void* memory) {
    delete[] static_cast<char*>(memory);
    return cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind,
                                   cudaStream_t) {
    std::memcpy(to, from, bytes);
    return cudaSuccess;
}
inline cudaError_t cudaMemsetAsync(void* memory, int value, size_t bytes, cudaStream_t) {
    std::memset(memory, value, bytes);
    return cudaSuccess;
}
