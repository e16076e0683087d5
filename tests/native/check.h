// The smallest test harness that does: a check that names its case, and a time budget.
#pragma once
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <string>

namespace hashcore::test {

/// What the current thread tests; a failed check prints it.
inline thread_local std::string current_case;

/// Ends the process at the first failure, from whichever thread.
[[noreturn]] inline void fail(const char* file, int line, const char* what) {
    static std::mutex once;
    once.lock();  // for good: one failure is reported
    std::cerr << file << ":" << line << ": " << what << "\n  case: " << current_case << std::endl;
    std::_Exit(1);
}

#define EXPECT(condition) \
    ((condition) ? void() : hashcore::test::fail(__FILE__, __LINE__, "expected " #condition))

/// How long a program draws random cases: its first argument, in seconds.
class Budget {
 public:
    Budget(int argc, char** argv)
        : seconds_(argc > 1 ? std::atoi(argv[1]) : 5), start_(std::chrono::steady_clock::now()) {}

    int seconds() const { return seconds_; }
    bool left() const {
        return std::chrono::steady_clock::now() - start_ < std::chrono::seconds(seconds_);
    }

 private:
    int seconds_;
    std::chrono::steady_clock::time_point start_;
};

}  // namespace hashcore::test
