#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "cuda/runtime.h"

namespace hashcore::cuda {
namespace {

constexpr int threads = 256;
constexpr int bytes_a_thread = 4;

template <class T>
__device__ bool is_positive(T value) {
    return value > T{0};
}
template <>
__device__ bool is_positive(__half value) {
    return __half2float(value) > 0;
}
template <>
__device__ bool is_positive(__nv_bfloat16 value) {
    return __bfloat162float(value) > 0;
}

/// Eight values, read 16 bytes at a time.
template <class T>
struct alignas(sizeof(T) < 2 ? 8 : 16) Eight {
    T values[8];
};

template <class T>
__device__ uint8_t byte_of(const T (&values)[8]) {
    unsigned byte = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) byte |= (is_positive(values[i]) ? 0x80U : 0U) >> i;
    return static_cast<uint8_t>(byte);
}

/// Rows of whole bytes, one behind the other.
template <class T>
__global__ void pack_whole(const Eight<T>* values, int64_t bytes, uint8_t* codes) {
    const int64_t first = int64_t{blockIdx.x} * threads * bytes_a_thread + threadIdx.x;
    Eight<T> read[bytes_a_thread];
#pragma unroll
    for (int i = 0; i < bytes_a_thread; ++i)
        if (first + i * threads < bytes) read[i] = values[first + i * threads];
#pragma unroll
    for (int i = 0; i < bytes_a_thread; ++i)
        if (first + i * threads < bytes) codes[first + i * threads] = byte_of(read[i].values);
}

/// Any rows: a thread a byte.
template <class T>
__global__ void pack_any(const T* values, int64_t rows, int64_t bits, int64_t row_bytes,
                         uint8_t* codes) {
    const int64_t place = int64_t{blockIdx.x} * threads + threadIdx.x;
    if (place >= rows * row_bytes) return;
    const T* row = values + place / row_bytes * bits;
    const int64_t begin = place % row_bytes * 8;
    unsigned byte = 0;
    for (int64_t i = 0; i < 8 && begin + i < bits; ++i)
        byte |= (is_positive(row[begin + i]) ? 0x80U : 0U) >> i;
    codes[place] = static_cast<uint8_t>(byte);
}

template <class T>
void pack(const void* values, int64_t rows, int64_t bits, int64_t row_bytes, uint8_t* codes,
          const Stream& stream) {
    const int64_t bytes = rows * row_bytes;
    if (bytes == 0) return;
    const bool whole =
        bits == 8 * row_bytes && reinterpret_cast<uintptr_t>(values) % alignof(Eight<T>) == 0;
    if (whole)
        launch(stream, "packing", pack_whole<T>, blocks_for(bytes, threads * bytes_a_thread),
               threads, 0, static_cast<const Eight<T>*>(values), bytes, codes);
    else
        launch(stream, "packing", pack_any<T>, blocks_for(bytes, threads), threads, 0,
               static_cast<const T*>(values), rows, bits, row_bytes, codes);
}

}  // namespace

void pack_sign(const void* values, Number type, int64_t rows, int64_t bits, int64_t row_bytes,
               uint8_t* codes, const Stream& stream) {
    switch (type) {
        case Number::boolean:
            return pack<uint8_t>(values, rows, bits, row_bytes, codes, stream);
        case Number::float16:
            return pack<__half>(values, rows, bits, row_bytes, codes, stream);
        case Number::bfloat16:
            return pack<__nv_bfloat16>(values, rows, bits, row_bytes, codes, stream);
        case Number::float32:
            return pack<float>(values, rows, bits, row_bytes, codes, stream);
        case Number::float64:
            return pack<double>(values, rows, bits, row_bytes, codes, stream);
    }
}

}  // namespace hashcore::cuda
