// What launches share.
#pragma once
#include <cuda_runtime.h>

#include "cuda/launch.h"
#include "cuda/team.h"

namespace hashcore::cuda {

/// Throws std::runtime_error of an error, with what was being done.
void check(cudaError_t status, const char* doing);

/// Makes a device current until the end of the scope.
class DeviceScope {
 public:
    explicit DeviceScope(int device);
    ~DeviceScope();
    DeviceScope(const DeviceScope&) = delete;
    DeviceScope& operator=(const DeviceScope&) = delete;

 private:
    int before_ = -1;  // -1: the device was current
};

/// Queues a kernel; `shared_bytes` come beside the shared memory that it declares.
template <class... Parameters, class... Arguments>
void launch(const Stream& stream, const char* name, void (*kernel)(Parameters...), dim3 blocks,
            int threads, int64_t shared_bytes, Arguments... arguments) {
    const DeviceScope scope(stream.device);
    cudaLaunchConfig_t config{};
    config.gridDim = blocks;
    config.blockDim = dim3(static_cast<unsigned>(threads));
    config.dynamicSmemBytes = static_cast<size_t>(shared_bytes);
    config.stream = static_cast<cudaStream_t>(stream.handle);
    check(cudaLaunchKernelEx(&config, kernel, arguments...), name);
}

/// The blocks that `items` of work need, with at least one.
inline unsigned blocks_for(int64_t items, int64_t a_block) {
    const int64_t blocks = (items + a_block - 1) / a_block;
    return static_cast<unsigned>(blocks > 0 ? blocks : 1);
}

#ifdef __CUDACC__
/// The shared memory that a launch asks for.
__device__ inline uint64_t* shared_of_launch() {
#ifdef HASHCORE_CUDA_ON_HOST
    return shared_on_host();
#else
    extern __shared__ uint64_t memory[];
    return memory;
#endif
}

__device__ inline int add_atomically(int* to, int value) {
    return atomicAdd(to, value);
}
__device__ inline void keep_least_atomically(uint64_t* kept, uint64_t key) {
    static_assert(sizeof(unsigned long long) == sizeof(uint64_t));
    atomicMin(reinterpret_cast<unsigned long long*>(kept), static_cast<unsigned long long>(key));
}

/// All threads of a block; the kernel gives them their room in shared memory.
class BlockTeam {
 public:
    __device__ explicit BlockTeam(void* room) : room_(room) {}
    __device__ int size() const { return static_cast<int>(blockDim.x); }
    template <class Body>
    __device__ void each(int64_t n, const Body& body) const {
        for (int64_t i = threadIdx.x; i < n; i += blockDim.x) body(i);
        __syncthreads();
    }
    __device__ void barrier() const { __syncthreads(); }
    __device__ void* room() const { return room_; }
    __device__ int add(int* to, int value) const { return add_atomically(to, value); }
    __device__ void keep_least(uint64_t* kept, uint64_t key) const {
        keep_least_atomically(kept, key);
    }

 private:
    void* room_;
};

/// The 32 threads of a warp.
class WarpTeam {
 public:
    __device__ explicit WarpTeam(void* room) : room_(room) {}
    __device__ int size() const { return 32; }
    template <class Body>
    __device__ void each(int64_t n, const Body& body) const {
        for (int64_t i = threadIdx.x % 32; i < n; i += 32) body(i);
        __syncwarp();
    }
    __device__ void barrier() const { __syncwarp(); }
    __device__ void* room() const { return room_; }

 private:
    void* room_;
};
#endif

}  // namespace hashcore::cuda
