// Sums of a fixed sequence over ranges, in constant time and to twice double precision: what is
// left after two nearly equal sums are subtracted is still a full double.
#pragma once
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

namespace hashcore {

struct DoubleDouble {
    double high = 0, low = 0;
};

inline DoubleDouble operator+(DoubleDouble a, DoubleDouble b) {
    const double sum = a.high + b.high;
    const double b_part = sum - a.high;
    const double error = (a.high - (sum - b_part)) + (b.high - b_part);
    const double low = error + a.low + b.low;
    const double high = sum + low;
    return {high, low - (high - sum)};
}

inline DoubleDouble operator-(DoubleDouble a, DoubleDouble b) {
    return a + DoubleDouble{-b.high, -b.low};
}

/// term(1) + ... + term(count), asked for by range.
template <class Term>
class RangeSums {
 public:
    RangeSums(int64_t count, Term term) : term_(std::move(term)) {
        DoubleDouble sum;
        for (int64_t i = 1; i <= count; ++i) {
            if ((i - 1) % stride == 0) sums_.push_back(sum);
            sum = sum + term_(i);
        }
        if (count % stride == 0) sums_.push_back(sum);
    }

    /// term(first + 1) + ... + term(last).
    DoubleDouble between(int64_t first, int64_t last) const { return upto(last) - upto(first); }

    /// term(1) + ... + term(last).
    DoubleDouble upto(int64_t last) const {
        DoubleDouble sum = sums_[static_cast<size_t>(last / stride)];
        for (int64_t i = last / stride * stride + 1; i <= last; ++i) sum = sum + term_(i);
        return sum;
    }

 private:
    static constexpr int64_t stride = 4;

    Term term_;
    std::vector<DoubleDouble> sums_;  // of the terms before each multiple of stride
};

/// 1 / i.
struct Reciprocal {
    DoubleDouble operator()(int64_t i) const {
        const auto divisor = static_cast<double>(i);
        const double high = 1.0 / divisor;
        return {high, std::fma(-high, divisor, 1.0) / divisor};
    }
};

/// A table's i-th value, from 1.
struct TableTerm {
    const double* values;
    DoubleDouble operator()(int64_t i) const { return {values[i - 1], 0.0}; }
};

}  // namespace hashcore
