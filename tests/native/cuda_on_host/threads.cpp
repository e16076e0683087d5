#include <ucontext.h>

#include <algorithm>
#include <csetjmp>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <vector>

#include "cuda_runtime.h"

namespace hashcore::cuda_on_host {
namespace {

constexpr size_t stack_bytes = size_t{128} << 10;
constexpr unsigned warp_threads = 32;
constexpr size_t cache_line = 64, stack_colours = 61;

enum class State { ready, at_block, at_warp, waits, ended };

/// A thread of a block with a stack of its own.
struct Thread {
    std::unique_ptr<char[]> stack{new char[stack_bytes + cache_line * stack_colours]};
    ucontext_t start{};
    jmp_buf place{};
    bool begun = false;
    unsigned exchanges = 0;
    std::function<bool()> condition;  // that it waits for
    State state = State::ready;
};

/// What the threads of a warp bring, by turns: nobody is two exchanges ahead of another.
struct Exchange {
    uint64_t values[2][warp_threads];
};

struct Allocation {
    size_t bytes;
    std::unique_ptr<char[]> memory;
};
constexpr size_t fence_bytes = 64;
constexpr char fence = 0x5A;
constexpr size_t alignment = 256;

const std::function<void()>* kernel_of_all = nullptr;
std::vector<std::unique_ptr<Thread>> threads_of_all;
std::vector<uint64_t> shared_of_block;
std::vector<Exchange> exchanges_of_warps;
std::vector<std::function<void()>> yet_to_be_done;
std::map<char*, Allocation> allocations;
size_t bytes_taken = 0;
std::mutex one_kernel, one_allocation;
size_t turn = 0;
jmp_buf scheduler;
std::mt19937 order_source{1};

void give_turn_back() {
    _longjmp(scheduler, 1);
}

/// A stack serves kernel after kernel: to make one anew costs calls of the system.
void main_of_thread() {
    for (;;) {
        (*kernel_of_all)();
        Thread& thread = *threads_of_all[turn];
        thread.state = State::ended;
        if (_setjmp(thread.place) == 0) give_turn_back();
    }
}

void give_turn(size_t index) {
    Thread& thread = *threads_of_all[index];
    turn = index;
    threadIdx = dim3(static_cast<unsigned>(index));
    if (_setjmp(scheduler) != 0) return;
    if (thread.begun) _longjmp(thread.place, 1);
    thread.begun = true;
    getcontext(&thread.start);
    // Tops of stacks that lie alike would push each other out of the cache.
    thread.start.uc_stack.ss_sp = thread.stack.get() + cache_line * (3 * index % stack_colours);
    thread.start.uc_stack.ss_size = stack_bytes;
    makecontext(&thread.start, main_of_thread, 0);
    setcontext(&thread.start);
}

/// Lets the threads [first, end) go on where all that have not ended wait at this barrier.
bool release(size_t first, size_t end, State barrier) {
    bool any = false;
    for (size_t i = first; i < end; ++i) {
        const State state = threads_of_all[i]->state;
        if (state != barrier && state != State::ended) return false;
        any = any || state == barrier;
    }
    for (size_t i = first; any && i < end; ++i)
        if (threads_of_all[i]->state == barrier) threads_of_all[i]->state = State::ready;
    return any;
}

/// Lets those go on whose conditions hold.
bool release_waiting(size_t threads) {
    bool any = false;
    for (size_t i = 0; i < threads; ++i) {
        Thread& thread = *threads_of_all[i];
        if (thread.state != State::waits || !thread.condition()) continue;
        thread.state = State::ready;
        any = true;
    }
    return any;
}

/// Does any one of what was put off, always where nothing else goes on.
bool do_one(bool others_go_on) {
    if (yet_to_be_done.empty() || (others_go_on && order_source() % 2 == 0)) return false;
    std::swap(yet_to_be_done[order_source() % yet_to_be_done.size()], yet_to_be_done.back());
    const std::function<void()> action = std::move(yet_to_be_done.back());
    yet_to_be_done.pop_back();
    action();
    return true;
}

void run_block(size_t threads) {
    while (threads_of_all.size() < threads) threads_of_all.push_back(std::make_unique<Thread>());
    std::vector<size_t> order(threads);
    for (size_t i = 0; i < threads; ++i) {
        order[i] = i;
        threads_of_all[i]->exchanges = 0;
        threads_of_all[i]->state = State::ready;
    }
    for (bool more = true; more;) {
        std::shuffle(order.begin(), order.end(), order_source);
        for (const size_t i : order)
            if (threads_of_all[i]->state == State::ready) give_turn(i);
        more = release(0, threads, State::at_block);
        for (size_t first = 0; first < threads; first += warp_threads)
            more |= release(first, std::min<size_t>(first + warp_threads, threads), State::at_warp);
        more |= release_waiting(threads);
        more |= do_one(more);
    }
    if (!yet_to_be_done.empty()) {
        std::cerr << "a copy lands when its block has ended" << std::endl;
        std::abort();
    }
    for (size_t i = 0; i < threads; ++i) {
        if (threads_of_all[i]->state == State::ended) continue;
        std::cerr << "thread " << i << " waits at a barrier that others never reach" << std::endl;
        std::abort();
    }
}

}  // namespace

void wait(Barrier barrier) {
    Thread& thread = *threads_of_all[turn];
    thread.state = barrier == Barrier::block ? State::at_block : State::at_warp;
    if (_setjmp(thread.place) == 0) give_turn_back();
}

void wait_until(const std::function<bool()>& condition) {
    Thread& thread = *threads_of_all[turn];
    thread.condition = condition;
    thread.state = State::waits;
    if (_setjmp(thread.place) == 0) give_turn_back();
}

void later(const std::function<void()>& action) {
    yet_to_be_done.push_back(action);
}

void run(dim3 blocks, dim3 threads, size_t shared_bytes, const std::function<void()>& kernel) {
    const std::lock_guard<std::mutex> lock(one_kernel);
    kernel_of_all = &kernel;
    exchanges_of_warps.resize((threads.x + warp_threads - 1) / warp_threads);
    gridDim = blocks;
    blockDim = threads;
    shared_of_block.resize(shared_bytes / sizeof(uint64_t) + 1);
    for (unsigned y = 0; y < blocks.y; ++y)
        for (unsigned x = 0; x < blocks.x; ++x) {
            blockIdx = dim3(x, y);
            // What nobody has written is no number.
            std::memset(shared_of_block.data(), 0xFF, shared_of_block.size() * sizeof(uint64_t));
            run_block(threads.x);
        }
}

const uint64_t* exchange(uint64_t value) {
    const size_t own = turn, first = own / warp_threads * warp_threads;
    for (size_t i = first; i < first + warp_threads; ++i) {
        if (i < blockDim.x && threads_of_all[i]->state != State::ended) continue;
        std::cerr << "thread " << own << " waits for thread " << i << ", which is not there"
                  << std::endl;
        std::abort();
    }
    uint64_t* values =
        exchanges_of_warps[own / warp_threads].values[threads_of_all[own]->exchanges++ % 2];
    values[own % warp_threads] = value;
    wait(Barrier::warp);
    return values;
}

int devices() {
    const char* asked = std::getenv("HASHCORE_TEST_DEVICES");
    return asked != nullptr ? std::atoi(asked) : 1;
}

size_t memory_left() {
    const char* asked = std::getenv("HASHCORE_TEST_DEVICE_MEMORY");
    const size_t all =
        asked != nullptr ? std::strtoull(asked, nullptr, 10) : cudaDeviceProp{}.totalGlobalMem;
    return all > bytes_taken ? all - bytes_taken : 0;
}

void* take_memory(size_t bytes) {
    const std::lock_guard<std::mutex> lock(one_allocation);
    if (bytes > memory_left()) return nullptr;
    const size_t size = bytes + fence_bytes + alignment;
    std::unique_ptr<char[]> memory(new char[size]);
    const auto address = reinterpret_cast<uintptr_t>(memory.get());
    char* start = memory.get() + (alignment - address % alignment);
    std::memset(start, 0xFF, bytes);
    std::memset(start + bytes, fence, fence_bytes);
    bytes_taken += bytes;
    allocations[start] = {bytes, std::move(memory)};
    return start;
}

void give_memory_back(void* memory) {
    const std::lock_guard<std::mutex> lock(one_allocation);
    const auto found = allocations.find(static_cast<char*>(memory));
    const bool whole =
        found != allocations.end() && std::all_of(found->first + found->second.bytes,
                                                  found->first + found->second.bytes + fence_bytes,
                                                  [](char byte) { return byte == fence; });
    if (!whole) {
        std::cerr << "memory was written behind its end, or given back twice" << std::endl;
        std::abort();
    }
    bytes_taken -= found->second.bytes;
    allocations.erase(found);
}

uint64_t* shared_memory() {
    return shared_of_block.data();
}

int shared_memory_limit() {
    const char* asked = std::getenv("HASHCORE_TEST_SHARED_MEMORY");
    return asked != nullptr ? std::atoi(asked) : 232448;
}

}  // namespace hashcore::cuda_on_host
