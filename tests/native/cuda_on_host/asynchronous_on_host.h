// A model of what csrc/cuda/hopper.h names, as PTX defines it. Copies land at some later time;
// stores for products are not there before they are published; operands that change while products
// run end the process.
#pragma once
#include <cuda_runtime.h>
#include <products_on_host.h>

#include <cstdlib>
#include <iostream>
#include <map>
#include <vector>

namespace hashcore::cuda_on_host {

[[noreturn]] inline void refuse(const char* what) {
    std::cerr << "thread " << threadIdx.x << ": " << what << std::endl;
    std::abort();
}

/// A barrier as its 8 bytes hold it.
struct CountingBarrier {
    uint16_t parity;  ///< of the phase that has not ended
    int16_t arrivals, missing;
    int16_t unused;

    void end_if_complete(int64_t bytes) {
        if (missing < 0) refuse("more have arrived at a barrier than it counts");
        if (missing > 0 || bytes != 0) return;
        missing = arrivals;
        parity ^= 1;
    }
};
static_assert(sizeof(CountingBarrier) == sizeof(uint64_t));

/// Bytes that a barrier still expects.
inline int64_t& expected_bytes(uint64_t* barrier) {
    static std::map<uint64_t*, int64_t> expected;
    return expected[barrier];
}

inline CountingBarrier* counting(uint64_t* barrier) {
    return reinterpret_cast<CountingBarrier*>(barrier);
}

inline size_t shared_offset(const void* memory) {
    return static_cast<size_t>(static_cast<const char*>(memory) -
                               reinterpret_cast<const char*>(shared_memory()));
}

}  // namespace hashcore::cuda_on_host

namespace hashcore::cuda::hopper {

inline uint32_t shared_address(const void* memory) {
    return static_cast<uint32_t>(cuda_on_host::shared_offset(memory));
}

inline void init(uint64_t* barrier, int arrivals) {
    const auto count = static_cast<int16_t>(arrivals);
    *cuda_on_host::counting(barrier) = {0, count, count, 0};
    cuda_on_host::expected_bytes(barrier) = 0;
}
inline void publish_barriers() {}
inline void arrive_expecting(uint64_t* barrier, uint32_t bytes) {
    cuda_on_host::CountingBarrier* const state = cuda_on_host::counting(barrier);
    int64_t& expected = cuda_on_host::expected_bytes(barrier);
    expected += bytes;
    --state->missing;
    state->end_if_complete(expected);
}
inline void arrive(uint64_t* barrier) {
    arrive_expecting(barrier, 0);
}
inline void wait(uint64_t* barrier, uint32_t parity) {
    cuda_on_host::wait_until([=] { return cuda_on_host::counting(barrier)->parity != parity; });
}

inline void copy(void* shared, const void* global, uint32_t bytes, uint64_t* barrier) {
    if (bytes % 16 != 0 || cuda_on_host::shared_offset(shared) % 16 != 0 ||
        reinterpret_cast<uintptr_t>(global) % 16 != 0)
        cuda_on_host::refuse("copies are of 16 bytes");
    cuda_on_host::later([=] {
        std::memcpy(shared, global, bytes);
        int64_t& expected = cuda_on_host::expected_bytes(barrier);
        expected -= bytes;
        cuda_on_host::counting(barrier)->end_if_complete(expected);
    });
}

struct alignas(16) Piece {
    uint32_t words[4];
};
struct UnpublishedStore {
    void* shared;
    Piece piece;
};
using UnpublishedStores = std::vector<UnpublishedStore>;
inline UnpublishedStores (&unpublished_stores_of_all())[1024] {
    static UnpublishedStores stores[1024];
    return stores;
}
inline UnpublishedStores& unpublished_stores() {
    return unpublished_stores_of_all()[threadIdx.x];
}
inline void store(void* shared, const Piece& piece) {
    unpublished_stores().push_back({shared, piece});
}
inline void publish_stores() {
    for (const UnpublishedStore& each : unpublished_stores())
        std::memcpy(each.shared, &each.piece, sizeof each.piece);
    unpublished_stores().clear();
}

template <int registers>
void shrink() {}
template <int registers>
void grow() {}

/// A product that runs: its two rows and what it saw of the columns.
struct RunningProduct {
    cuda_on_host::RowsOfThread rows;
    uint64_t b;
    uint64_t seen;
};
inline std::vector<RunningProduct>& running_products() {
    static std::vector<RunningProduct> running[1024];
    return running[threadIdx.x];
}

/// Between a store and its publication a thread waits for nobody, so that none is seen here.
inline void begin_products() {
    for (const UnpublishedStores& each : unpublished_stores_of_all())
        if (!each.empty()) cuda_on_host::refuse("a store for products was not published");
}
inline void product(int (&d)[128], const uint32_t (&a)[4], uint64_t b, bool add) {
    if (!add)
        for (int& sum : d) sum = 0;
    const cuda_on_host::RowsOfThread rows = cuda_on_host::gather_rows(a);
    running_products().push_back({rows, b, cuda_on_host::add_common(rows, b, d)});
}
inline void end_products() {
    for (const RunningProduct& each : running_products()) {
        int again[128] = {};
        if (cuda_on_host::add_common(each.rows, each.b, again) != each.seen)
            cuda_on_host::refuse("operands changed while a product ran");
    }
    running_products().clear();
}

inline uint32_t max_of_sums(uint32_t a, uint32_t b, uint32_t c) {
    uint32_t result = 0;
    for (int shift = 0; shift < 32; shift += 16) {
        const auto sum = static_cast<int16_t>((a >> shift) + (b >> shift));
        const auto other = static_cast<int16_t>(c >> shift);
        result |= uint32_t{static_cast<uint16_t>(sum > other ? sum : other)} << shift;
    }
    return result;
}
inline int max_of_three(int a, int b, int c) {
    const int most = a > b ? a : b;
    return most > c ? most : c;
}

}  // namespace hashcore::cuda::hopper
