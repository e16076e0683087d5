#include "core/thread_pool.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <string>

namespace hashcore {
namespace {

int cpus_of_process() {
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

int default_threads() {
    const char* text = std::getenv("HASHCORE_NUM_THREADS");
    if (text == nullptr || *text == '\0') return cpus_of_process();
    char* end = nullptr;
    const long count = std::strtol(text, &end, 10);
    if (*end != '\0' || count < 1 || count > 4096)
        throw std::invalid_argument(std::string("HASHCORE_NUM_THREADS: expected 1..4096, got '") +
                                    text + "'");
    return static_cast<int>(count);
}

std::atomic<int> thread_setting{0};

/// One parallel_for: a counter that threads draw tasks from.
class Job {
 public:
    Job(int64_t task_count, int helpers, const std::function<void(int64_t)>& body)
        : body_(body), task_count_(task_count), helpers_wanted_(helpers) {}

    void work() {
        for (;;) {
            const int64_t task = next_.fetch_add(1, std::memory_order_relaxed);
            if (task >= task_count_) return;
            try {
                body_(task);
            } catch (...) {
                const std::lock_guard lock(mutex_);
                if (!error_) error_ = std::current_exception();
                next_.store(task_count_, std::memory_order_relaxed);
            }
        }
    }

    /// A worker takes part; false once enough do.
    bool join() {
        if (helpers_wanted_ == 0) return false;
        --helpers_wanted_;
        const std::lock_guard lock(mutex_);
        ++helpers_;
        return true;
    }

    void leave() {
        const std::lock_guard lock(mutex_);
        if (--helpers_ == 0) idle_.notify_all();
    }

    void wait_for_helpers(Monitor* monitor) {
        std::unique_lock lock(mutex_);
        while (!idle_.wait_for(lock, Monitor::interval, [&] { return helpers_ == 0; })) {
            if (monitor == nullptr) continue;
            lock.unlock();
            monitor->idle();
            lock.lock();
        }
    }

    void rethrow() const {
        if (error_) std::rethrow_exception(error_);
    }

 private:
    const std::function<void(int64_t)>& body_;
    const int64_t task_count_;
    std::atomic<int64_t> next_{0};
    int helpers_wanted_;  // guarded by the pool's mutex
    std::mutex mutex_;
    std::condition_variable idle_;
    int helpers_ = 0;
    std::exception_ptr error_;
};

class Pool {
 public:
    void run(Job& job, int helpers, Monitor* monitor) {
        {
            const std::lock_guard lock(mutex_);
            jobs_.push_back(&job);
            add_workers(helpers);
        }
        wake_.notify_all();
        job.work();
        {
            const std::lock_guard lock(mutex_);
            std::erase(jobs_, &job);
        }
        job.wait_for_helpers(monitor);
    }

 private:
    void add_workers(int wanted) {
        try {
            for (; workers_ < wanted; ++workers_) std::thread([this] { serve(); }).detach();
        } catch (const std::exception&) {
            // The system gives no more threads: the ones there are, and the caller, do the work.
        }
    }

    void serve() {
        std::unique_lock lock(mutex_);
        for (;;) {
            Job* job = nullptr;
            wake_.wait(lock, [&] { return (job = claim()) != nullptr; });
            lock.unlock();
            job->work();
            job->leave();
            lock.lock();
        }
    }

    Job* claim() {
        for (Job* job : jobs_)
            if (job->join()) return job;
        return nullptr;
    }

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Job*> jobs_;
    int workers_ = 0;
};

// The pool is leaked on purpose: workers are detached and may outlive static destruction. A forked
// child has none of the parent's threads, so it starts with a new pool.
std::atomic<Pool*> pool_instance{nullptr};
std::mutex* pool_creation = new std::mutex;

Pool& pool() {
    static const int registered = pthread_atfork(nullptr, nullptr, [] {
        pool_creation = new std::mutex;
        pool_instance.store(nullptr);
    });
    static_cast<void>(registered);
    const std::lock_guard lock(*pool_creation);
    if (pool_instance.load() == nullptr) pool_instance.store(new Pool);
    return *pool_instance.load();
}

}  // namespace

int num_threads() {
    static const int automatic = default_threads();
    const int set = thread_setting.load(std::memory_order_relaxed);
    return set != 0 ? set : automatic;
}

void set_num_threads(int count) {
    thread_setting.store(count, std::memory_order_relaxed);
}

int resolve_threads(int threads) {
    return threads > 0 ? threads : num_threads();
}

void parallel_for(int64_t task_count, int threads, Monitor* monitor,
                  const std::function<void(int64_t)>& body) {
    const int wanted = static_cast<int>(std::min<int64_t>(resolve_threads(threads), task_count));
    Job job(task_count, wanted - 1, body);
    if (wanted > 1)
        pool().run(job, wanted - 1, monitor);
    else
        job.work();
    if (monitor != nullptr && monitor->stopped()) monitor->throw_stop();
    job.rethrow();
}

}  // namespace hashcore
