// ln(1 + e^x) and its derivative, of many x.
//
// Loops of logistic_lanes equal steps without branches, which the compiler turns into vectors of
// any width. Each lane is summed for itself, and lanes are added in order: the same bits at every
// level.
#pragma once
#include <cstddef>
#include <cstdint>

#include "cpu/kernel_table.h"

namespace hashcore {
namespace {

inline constexpr size_t logistic_lanes = 16;

/// Calls step(i, i % logistic_lanes) for every i below `count`.
template <class Step>
[[gnu::always_inline]] inline void in_lanes(size_t count, const Step& step) {
    size_t first = 0;
    for (; first + logistic_lanes <= count; first += logistic_lanes)
        for (size_t lane = 0; lane < logistic_lanes; ++lane) step(first + lane, lane);
    for (size_t lane = 0; first + lane < count; ++lane) step(first + lane, lane);
}

/// e^x for x <= 0, to two units in the last place; 0 where it would be subnormal, NaN of NaN.
[[gnu::always_inline]] inline float exp_of_negative(float x) {
    constexpr float to_integer = 0x1.8p23F;  // adding it leaves an integer in the low bits
    x = x < -104.0F ? -104.0F : x;
    const float shifted = x * 0x1.715476p0F + to_integer;
    const float power = shifted - to_integer;
    // ln 2 in two parts, the first short, so that its multiples are exact
    const float rest = (x - power * 0x1.62e4p-1F) - power * 0x1.7f7d1cp-20F;
    float sum = 0x1.6c16c2p-10F;  // 1 / 720
    sum = sum * rest + 0x1.111112p-7F;
    sum = sum * rest + 0x1.555556p-5F;
    sum = sum * rest + 0x1.555556p-3F;
    sum = sum * rest + 0.5F;
    sum = sum * rest + 1.0F;
    sum = sum * rest + 1.0F;
    const int32_t exponent =
        __builtin_bit_cast(int32_t, shifted) - __builtin_bit_cast(int32_t, to_integer) + 127;
    const auto bits = static_cast<uint32_t>(exponent > 0 ? exponent : 0) << 23;
    return sum * __builtin_bit_cast(float, bits);
}

/// ln(1 + y) for y in 0..1, as 2 artanh(y / (2 + y)).
[[gnu::always_inline]] inline float log_of_one_and(float y) {
    const float s = y / (2.0F + y);
    const float square = s * s;
    float sum = 2.0F / 15;
    sum = sum * square + 2.0F / 13;
    sum = sum * square + 2.0F / 11;
    sum = sum * square + 2.0F / 9;
    sum = sum * square + 2.0F / 7;
    sum = sum * square + 2.0F / 5;
    sum = sum * square + 2.0F / 3;
    sum = sum * square + 2.0F;
    return s * sum;
}

[[gnu::always_inline]] inline double exp_of_negative(double x) {
    return __builtin_exp(x);
}
[[gnu::always_inline]] inline double log_of_one_and(double y) {
    return __builtin_log1p(y);
}

template <class T>
struct Logistic {
    T loss;
    T slope;
};

template <class T>
[[gnu::always_inline]] inline Logistic<T> logistic(T x) {
    const T tail = exp_of_negative(x < 0 ? x : -x);
    const T positive = x < 0 ? T{0} : x;
    return {positive + log_of_one_and(tail), (x < 0 ? tail : T{1}) / (T{1} + tail)};
}

template <class T>
LogisticSums logistic_sums(const T* values, size_t count, T threshold, double weight,
                           double* slopes) {
    T loss[logistic_lanes] = {};
    T slope[logistic_lanes] = {};
    const auto step = [&](size_t i, size_t lane) {
        const Logistic<T> one = logistic(threshold - values[i]);
        loss[lane] += one.loss;
        slope[lane] += one.slope;
        slopes[i] -= weight * static_cast<double>(one.slope);
    };
    in_lanes(count, step);
    LogisticSums sums{0, 0};
    for (size_t i = 0; i < logistic_lanes; ++i) {
        sums.loss += static_cast<double>(loss[i]);
        sums.slope += static_cast<double>(slope[i]);
    }
    return sums;
}

/// The likelihood of pairs: sums ln(1 + e^theta) - s theta, theta = scale * values[i], and leaves
/// the derivative by theta.
template <class T>
double pair_likelihood(T* values, const Mark<T>* similar, size_t count, T scale) {
    T loss[logistic_lanes] = {};
    const auto step = [&](size_t i, size_t lane) {
        const T theta = scale * values[i];
        const T is_similar = static_cast<T>(similar[i]);
        const Logistic<T> one = logistic(theta);
        loss[lane] += one.loss - is_similar * theta;
        values[i] = one.slope - is_similar;
    };
    in_lanes(count, step);
    double sum = 0;
    for (const T lane : loss) sum += static_cast<double>(lane);
    return sum;
}

}  // namespace
}  // namespace hashcore
