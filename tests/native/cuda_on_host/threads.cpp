#include <ucontext.h>

#include <algorithm>
#include <csetjmp>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <random>
#include <vector>

#include "cuda_runtime.h"

namespace hashcore::cuda_on_host {
namespace {

constexpr size_t stack_bytes = size_t{128} << 10;
constexpr unsigned warp_threads = 32;

enum class State { ready, at_block, at_warp, ended };

/// A thread of a block with a stack of its own.
struct Thread {
    std::unique_ptr<char[]> stack{new char[stack_bytes]};
    ucontext_t start{};
    jmp_buf place{};
    bool begun = false;
    State state = State::ready;
};

const std::function<void()>* kernel_of_all = nullptr;
std::vector<std::unique_ptr<Thread>> threads_of_all;
std::vector<uint64_t> shared_of_block;
size_t turn = 0;
jmp_buf scheduler;
std::mt19937 order_source{1};

void give_turn_back() {
    _longjmp(scheduler, 1);
}

void main_of_thread() {
    (*kernel_of_all)();
    threads_of_all[turn]->state = State::ended;
    give_turn_back();
}

void give_turn(size_t index) {
    Thread& thread = *threads_of_all[index];
    turn = index;
    threadIdx = dim3(static_cast<unsigned>(index));
    if (_setjmp(scheduler) != 0) return;
    if (thread.begun) _longjmp(thread.place, 1);
    thread.begun = true;
    getcontext(&thread.start);
    thread.start.uc_stack.ss_sp = thread.stack.get();
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

void run_block(size_t threads) {
    while (threads_of_all.size() < threads) threads_of_all.push_back(std::make_unique<Thread>());
    std::vector<size_t> order(threads);
    for (size_t i = 0; i < threads; ++i) {
        order[i] = i;
        threads_of_all[i]->begun = false;
        threads_of_all[i]->state = State::ready;
    }
    for (bool more = true; more;) {
        std::shuffle(order.begin(), order.end(), order_source);
        for (const size_t i : order)
            if (threads_of_all[i]->state == State::ready) give_turn(i);
        more = release(0, threads, State::at_block);
        for (size_t first = 0; first < threads; first += warp_threads)
            more |= release(first, std::min<size_t>(first + warp_threads, threads), State::at_warp);
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

void run(dim3 blocks, dim3 threads, size_t shared_bytes, const std::function<void()>& kernel) {
    kernel_of_all = &kernel;
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

uint64_t* shared_memory() {
    return shared_of_block.data();
}

int shared_memory_limit() {
    const char* asked = std::getenv("HASHCORE_TEST_SHARED_MEMORY");
    return asked != nullptr ? std::atoi(asked) : 232448;
}

}  // namespace hashcore::cuda_on_host
