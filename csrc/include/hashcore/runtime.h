#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace hashcore {

/// The instruction-set level in use: HASHCORE_ISA if set, else the best that this CPU runs.
/// Throws std::invalid_argument when HASHCORE_ISA names no level that this CPU has.
std::string isa();

/// Every compiled level that this CPU runs, slowest first.
std::vector<std::string> isa_levels();

/// Every compiled level, whether this CPU runs it or not.
std::vector<std::string> isa_levels_compiled();

/// Uses `level` from now on; empty returns to the automatic choice.
void force_isa(const std::string& level);

/// Threads for calls that do not say: HASHCORE_NUM_THREADS, else the CPUs of this process.
int num_threads();
void set_num_threads(int count);

/// Watches one long call: progress out, a request to stop in.
///
/// Long calls invoke advance() from any thread between tiles; on the thread that made the Monitor
/// it calls `poll(done, total)` at most once per interval. A poll that returns false stops the
/// call, which then throws Cancelled; one that throws stops it with that exception.
class Monitor {
 public:
    using Poll = std::function<bool(int64_t done, int64_t total)>;
    static constexpr std::chrono::milliseconds interval{50};

    /// With `report_end`, finish() polls once more even if the interval has not passed.
    explicit Monitor(Poll poll, bool report_end = false);

    void begin(int64_t total);
    void advance(int64_t amount);  ///< throws once a stop was asked for
    void idle() noexcept;          ///< polls if it is time; the stop is left to others to throw
    void finish();                 ///< reports all as done; the last chance to stop before a commit
    bool stopped() const { return stopped_.load(std::memory_order_relaxed); }
    [[noreturn]] void throw_stop() const;  ///< what stopped it; after stopped()

 private:
    void poll_now() noexcept;

    Poll poll_;
    bool report_end_;
    std::exception_ptr error_;  // of a poll; only the owner touches it
    std::thread::id owner_;
    std::chrono::steady_clock::time_point last_poll_;
    std::atomic<int64_t> done_{0};
    std::atomic<int64_t> total_{0};
    std::atomic<bool> stopped_{false};
};

}  // namespace hashcore
