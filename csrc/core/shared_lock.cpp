#include "core/shared_lock.h"

#include <algorithm>
#include <stdexcept>

namespace hashcore {
namespace {

thread_local const SharedLock::Held* held_here = nullptr;

const SharedLock::Held* refuse_reentry(const SharedLock& lock) {
    for (const SharedLock::Held* held = held_here; held != nullptr; held = held->outer)
        if (held->lock == &lock)
            throw std::logic_error("an index cannot be used from inside its own progress callback");
    return held_here;
}

}  // namespace

template <class Ready>
void SharedLock::wait(std::unique_lock<std::mutex>& guard, Monitor* monitor, const Ready& ready) {
    while (!changed_.wait_for(guard, Monitor::interval, ready)) {
        if (monitor == nullptr) continue;
        guard.unlock();
        monitor->idle();
        guard.lock();
        if (monitor->stopped()) monitor->throw_stop();
    }
}

void SharedLock::lock_shared(Monitor* monitor) {
    std::unique_lock guard(mutex_);
    ++readers_waiting_;
    try {
        wait(guard, monitor,
             [this] { return !writing_ && (writers_waiting_ == 0 || readers_first_ > 0); });
    } catch (...) {
        --readers_waiting_;
        readers_first_ = std::min(readers_first_, readers_waiting_);
        changed_.notify_all();
        throw;
    }
    --readers_waiting_;
    if (readers_first_ > 0) --readers_first_;
    ++readers_;
}

void SharedLock::lock(Monitor* monitor) {
    std::unique_lock guard(mutex_);
    ++writers_waiting_;
    try {
        wait(guard, monitor, [this] { return !writing_ && readers_ == 0 && readers_first_ == 0; });
    } catch (...) {
        --writers_waiting_;
        changed_.notify_all();
        throw;
    }
    --writers_waiting_;
    writing_ = true;
}

SharedLock::Reading::Reading(SharedLock& lock, Monitor* monitor)
    : lock_(lock), held_{&lock, refuse_reentry(lock)} {
    lock.lock_shared(monitor);
    held_here = &held_;
}

SharedLock::Reading::~Reading() {
    held_here = held_.outer;
    const std::lock_guard guard(lock_.mutex_);
    if (--lock_.readers_ == 0) lock_.changed_.notify_all();
}

SharedLock::Writing::Writing(SharedLock& lock, Monitor* monitor)
    : lock_(lock), held_{&lock, refuse_reentry(lock)} {
    lock.lock(monitor);
    held_here = &held_;
}

SharedLock::Writing::~Writing() {
    held_here = held_.outer;
    const std::lock_guard guard(lock_.mutex_);
    lock_.writing_ = false;
    lock_.readers_first_ = lock_.readers_waiting_;
    lock_.changed_.notify_all();
}

}  // namespace hashcore
