// hashcore_limits [operations] [scan] [read]: what this CPU can do at most, as JSON; all three
// when none is named.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "read.h"

namespace hashcore::limits {

#define HASHCORE_ISA_LEVEL(name, supported) extern const Level limits_##name;
#include "isa_levels.inc"
#undef HASHCORE_ISA_LEVEL

namespace {

constexpr int rounds = 15;
constexpr double seconds_of_a_round = 5e-4;
constexpr size_t read_bytes = size_t{512} << 20;  // beyond every cache
constexpr int read_rounds = 7;

std::vector<const Level*> supported_levels() {
    std::vector<const Level*> levels;
#define HASHCORE_ISA_LEVEL(name, supported) \
    if (supported) levels.push_back(&limits_##name);
#include "isa_levels.inc"
#undef HASHCORE_ISA_LEVEL
    return levels;
}

double seconds_of(const Loop& loop, size_t iterations) {
    const auto start = std::chrono::steady_clock::now();
    loop.run(iterations);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// The best rate of several loops. They take turns, so that a noisy moment hits all alike.
class Contest {
 public:
    explicit Contest(std::vector<Loop> loops) : loops_(std::move(loops)), best_(loops_.size()) {
        std::vector<size_t> iterations;
        for (const Loop& loop : loops_) {
            size_t count = 1000;
            while (seconds_of(loop, count) < seconds_of_a_round) count *= 2;
            iterations.push_back(count);
        }
        for (int round = 0; round < rounds; ++round)
            for (size_t i = 0; i < loops_.size(); ++i) {
                const double done = static_cast<double>(iterations[i] * loops_[i].count);
                best_[i] = std::max(best_[i], done / seconds_of(loops_[i], iterations[i]));
            }
    }
    double per_second(size_t i) const { return best_[i]; }

 private:
    std::vector<Loop> loops_;
    std::vector<double> best_;
};

/// A chain of additions, each waiting for the one before: one a clock.
void add_in_turn(size_t iterations) {
    uint64_t x = 1;
    uint64_t y = 1;
    asm volatile("" : "+r"(y));
    for (size_t i = 0; i < iterations; ++i)
#pragma GCC unroll 16
        for (int step = 0; step < 16; ++step) {
            x += y;
            asm volatile("" : "+r"(x));
        }
}

/// One JSON object, its members in the order they come.
class Object {
 public:
    void add(const std::string& name, const std::string& value) {
        text_ += (text_.empty() ? "\"" : ", \"") + name + "\": " + value;
    }
    void add(const std::string& name, double value) {
        char digits[32];
        std::snprintf(digits, sizeof digits, "%.5g", value);
        add(name, std::string(digits));
    }
    std::string text() const { return "{" + text_ + "}"; }

 private:
    std::string text_;
};

void measure_operations(const std::vector<const Level*>& levels, Object& result) {
    std::vector<Loop> loops = {{add_in_turn, 16}};
    for (const Level* level : levels)
        for (const Operation& operation : level->operations) loops.push_back(operation.loop);
    const Contest contest(loops);
    result.add("clock", contest.per_second(0));
    Object all;
    size_t i = 1;
    for (const Level* level : levels) {
        Object rates;
        for (const Operation& operation : level->operations)
            rates.add(operation.name, contest.per_second(i++));
        all.add(level->name, rates.text());
    }
    result.add("operations", all.text());
}

/// The two limits of a batched scan, pairs a second by words of a code.
std::string scans_of(const std::vector<const Level*>& levels) {
    std::vector<Loop> loops;
    for (const Level* level : levels) {
        for (const Operation& operation : level->operations)
            if (std::strcmp(operation.name, "logic") == 0) loops.push_back(operation.loop);
        for (const Scan& scan : level->scans) loops.push_back(scan.loop);
    }
    const Contest contest(loops);
    Object all;
    size_t i = 0;
    for (const Level* level : levels) {
        const double codes_per_second = contest.per_second(i++) *
                                        static_cast<double>(level->vector_bits) /
                                        static_cast<double>(level->sliced_operations);
        Object issue, sliced, limits;
        for (const Scan& scan : level->scans) {
            const std::string words = std::to_string(scan.words);
            issue.add(words, contest.per_second(i++));
            sliced.add(words, codes_per_second / static_cast<double>(scan.words));
        }
        limits.add("issue_limit", issue.text());
        limits.add("sliced_issue_limit", sliced.text());
        all.add(level->name, limits.text());
    }
    return all.text();
}

std::string reads_of(const Level& level) {
    Object all;
    for (const Read& read : measure_reads(level, read_bytes, read_rounds))
        all.add(std::to_string(read.threads), read.bytes_per_second);
    return all.text();
}

}  // namespace
}  // namespace hashcore::limits

int main(int argc, char** argv) {
    using namespace hashcore::limits;
    const std::vector<std::string> asked(argv + 1, argv + argc);
    const auto wanted = [&](const char* part) {
        return asked.empty() || std::find(asked.begin(), asked.end(), part) != asked.end();
    };
    const std::vector<const Level*> levels = supported_levels();
    Object result;
    if (wanted("operations")) measure_operations(levels, result);
    if (wanted("scan")) result.add("scan", scans_of(levels));
    if (wanted("read")) result.add("read", reads_of(*levels.back()));
    std::puts(result.text().c_str());
}
