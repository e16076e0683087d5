#include <algorithm>
#include <utility>

#include "hashcore/errors.h"
#include "hashcore/runtime.h"

namespace hashcore {

Monitor::Monitor(Poll poll, bool report_end)
    : poll_(std::move(poll)),
      report_end_(report_end),
      owner_(std::this_thread::get_id()),
      last_poll_(std::chrono::steady_clock::now()) {}

void Monitor::begin(int64_t total) {
    total_.store(total, std::memory_order_relaxed);
    done_.store(0, std::memory_order_relaxed);
}

void Monitor::poll_now() noexcept {
    // Work done twice, as after a guess that failed, must not show as more than all of it.
    const int64_t total = total_.load(std::memory_order_relaxed);
    const int64_t done = std::min(done_.load(std::memory_order_relaxed), total);
    try {
        if (!poll_(done, total)) stopped_.store(true, std::memory_order_relaxed);
    } catch (...) {
        error_ = std::current_exception();
        stopped_.store(true, std::memory_order_relaxed);
    }
    last_poll_ = std::chrono::steady_clock::now();
}

void Monitor::idle() noexcept {
    if (stopped() || std::this_thread::get_id() != owner_) return;
    if (std::chrono::steady_clock::now() - last_poll_ >= interval) poll_now();
}

void Monitor::advance(int64_t amount) {
    done_.fetch_add(amount, std::memory_order_relaxed);
    idle();
    if (stopped()) throw_stop();
}

void Monitor::finish() {
    done_.store(total_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    if (report_end_ && !stopped()) poll_now();
    if (stopped()) throw_stop();
}

void Monitor::throw_stop() const {
    if (std::this_thread::get_id() == owner_ && error_) std::rethrow_exception(error_);
    throw Cancelled();
}

}  // namespace hashcore
