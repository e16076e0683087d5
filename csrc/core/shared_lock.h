#pragma once
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "hashcore/runtime.h"

namespace hashcore {

/// Readers run beside each other, a writer alone, and a waiting writer goes before new readers.
/// Waiting polls the monitor, so that it can be interrupted. Not recursive: a call on an index from
/// inside the progress callback of another call on it throws std::logic_error.
class SharedLock {
 public:
    class Reading {
     public:
        explicit Reading(SharedLock& lock, Monitor* monitor = nullptr);
        ~Reading();
        Reading(const Reading&) = delete;
        Reading& operator=(const Reading&) = delete;

     private:
        SharedLock& lock_;
        const SharedLock* outer_;
    };

    class Writing {
     public:
        explicit Writing(SharedLock& lock, Monitor* monitor = nullptr);
        ~Writing();
        Writing(const Writing&) = delete;
        Writing& operator=(const Writing&) = delete;

     private:
        SharedLock& lock_;
        const SharedLock* outer_;
    };

 private:
    template <class Ready>
    void wait(std::unique_lock<std::mutex>& held, Monitor* monitor, const Ready& ready);

    std::mutex mutex_;
    std::condition_variable changed_;
    int64_t readers_ = 0;
    int64_t writers_waiting_ = 0;
    bool writing_ = false;
};

}  // namespace hashcore
