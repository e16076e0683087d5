#include "core/shared_lock.h"

#include <stdexcept>
#include <utility>

namespace hashcore {
namespace {

/// The lock that this thread holds, if any; a thread inside a callback may take another one.
thread_local const SharedLock* held_here = nullptr;

const SharedLock* enter(const SharedLock* lock) {
    if (held_here == lock)
        throw std::logic_error("an index cannot be used from inside its own progress callback");
    return std::exchange(held_here, lock);
}

}  // namespace

template <class Ready>
void SharedLock::wait(std::unique_lock<std::mutex>& held, Monitor* monitor, const Ready& ready) {
    while (!changed_.wait_for(held, Monitor::interval, ready)) {
        if (monitor == nullptr) continue;
        held.unlock();
        monitor->idle();
        held.lock();
        if (monitor->stopped()) monitor->throw_stop();
    }
}

SharedLock::Reading::Reading(SharedLock& lock, Monitor* monitor)
    : lock_(lock), outer_(enter(&lock)) {
    try {
        std::unique_lock held(lock.mutex_);
        lock.wait(held, monitor, [&] { return !lock.writing_ && lock.writers_waiting_ == 0; });
        ++lock.readers_;
    } catch (...) {
        held_here = outer_;
        throw;
    }
}

SharedLock::Reading::~Reading() {
    held_here = outer_;
    const std::lock_guard held(lock_.mutex_);
    if (--lock_.readers_ == 0) lock_.changed_.notify_all();
}

SharedLock::Writing::Writing(SharedLock& lock, Monitor* monitor)
    : lock_(lock), outer_(enter(&lock)) {
    std::unique_lock held(lock.mutex_);
    ++lock.writers_waiting_;
    try {
        lock.wait(held, monitor, [&] { return !lock.writing_ && lock.readers_ == 0; });
    } catch (...) {
        if (!held.owns_lock()) held.lock();
        --lock.writers_waiting_;
        lock.changed_.notify_all();
        held_here = outer_;
        throw;
    }
    --lock.writers_waiting_;
    lock.writing_ = true;
}

SharedLock::Writing::~Writing() {
    held_here = outer_;
    const std::lock_guard held(lock_.mutex_);
    lock_.writing_ = false;
    lock_.changed_.notify_all();
}

}  // namespace hashcore
