#pragma once
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "hashcore/runtime.h"

namespace hashcore {

/// Readers run beside each other, a writer alone. Nobody starves: a waiting writer goes before
/// readers that come later, and the readers that waited for a writer go before the next one.
/// Waiting polls the monitor, so that it can be interrupted. Not recursive: a call on an index from
/// inside the progress callback of another call on it throws std::logic_error.
class SharedLock {
 public:
    /// Locks that this thread holds, innermost first: a callback may use another index.
    struct Held {
        const SharedLock* lock;
        const Held* outer;
    };

    class Reading {
     public:
        explicit Reading(SharedLock& lock, Monitor* monitor = nullptr);
        ~Reading();
        Reading(const Reading&) = delete;
        Reading& operator=(const Reading&) = delete;

     private:
        SharedLock& lock_;
        Held held_;
    };

    class Writing {
     public:
        explicit Writing(SharedLock& lock, Monitor* monitor = nullptr);
        ~Writing();
        Writing(const Writing&) = delete;
        Writing& operator=(const Writing&) = delete;

     private:
        SharedLock& lock_;
        Held held_;
    };

 private:
    template <class Ready>
    void wait(std::unique_lock<std::mutex>& guard, Monitor* monitor, const Ready& ready);
    void lock_shared(Monitor* monitor);
    void lock(Monitor* monitor);

    std::mutex mutex_;
    std::condition_variable changed_;
    int64_t readers_ = 0;
    int64_t readers_waiting_ = 0;
    int64_t readers_first_ = 0;  ///< waiting readers that go before the next writer
    int64_t writers_waiting_ = 0;
    bool writing_ = false;
};

}  // namespace hashcore
