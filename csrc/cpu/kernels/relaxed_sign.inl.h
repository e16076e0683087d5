// What outputs pay for not being signs, and the derivatives of that; see RelaxedSignRule.
//
// As in logistic.inl.h, steps without branches in lanes that are summed in order.
#pragma once
#include <cstddef>

#include "cpu/kernels/logistic.inl.h"

namespace hashcore {
namespace {

/// Values that are taken at a time, so that what is read twice stays in the first-level cache.
inline constexpr size_t relaxed_sign_chunk = 2048;

template <class T>
[[gnu::always_inline]] inline T magnitude(T x) {
    return x < 0 ? -x : x;
}
template <class T>
[[gnu::always_inline]] inline T sign_of(T x) {
    return x > 0 ? T{1} : T{-1};
}
template <class T>
[[gnu::always_inline]] inline T at_least_zero(T x) {
    return x > 0 ? x : T{0};
}

template <class T>
[[gnu::always_inline]] inline T tanh_of(T x) {
    const T tail = exp_of_negative(-2 * magnitude(x));
    return sign_of(x) * ((1 - tail) / (1 + tail));
}

/// The penalty of h with target t, and its derivative by h, which is 0 where there is none.
template <Relaxation relaxation, class T>
[[gnu::always_inline]] inline Logistic<T> relaxation_of(T h, T t, T margin) {
    if constexpr (relaxation == Relaxation::polarisation) {
        const T short_by = margin - h * t;
        return {at_least_zero(short_by), short_by > 0 ? -t : T{0}};
    } else {
        const T excess = magnitude(h) - 1;
        const T off = magnitude(excess);
        // Which way |h| - 1 grows, 0 at its ends.
        const T outward = h > 0 ? T{1} : (h < 0 ? T{-1} : T{0});
        const T towards = outward * (excess > 0 ? T{1} : (excess < 0 ? T{-1} : T{0}));
        if constexpr (relaxation == Relaxation::power_1) return {off, towards};
        if constexpr (relaxation == Relaxation::power_2) return {off * off, 2 * off * towards};
        return {off * off * off, 3 * off * off * towards};
    }
}

/// Calls body(first value, count, column of the first) for whole rows [bits] of at most
/// relaxed_sign_chunk values together, or for parts of a wider one.
template <class Body>
[[gnu::always_inline]] inline void for_chunks(size_t rows, size_t bits, const Body& body) {
    const size_t together = bits < relaxed_sign_chunk ? relaxed_sign_chunk / bits : 1;
    for (size_t row = 0; row < rows; row += together) {
        const size_t taken = rows - row < together ? rows - row : together;
        for (size_t i = 0; i < taken * bits; i += relaxed_sign_chunk) {
            const size_t left = taken * bits - i;
            body(row * bits + i, left < relaxed_sign_chunk ? left : relaxed_sign_chunk, i);
        }
    }
}

template <Relaxation relaxation, bool has_targets, class T>
void add_relaxed_sign_sums(const T* h, const T* targets, size_t count, T margin,
                           RelaxedSignSums& sums) {
    T relaxed[logistic_lanes] = {};
    T excess[logistic_lanes] = {};
    T quantised[logistic_lanes] = {};
    const auto step = [&](size_t i, size_t lane) {
        const T t = has_targets ? targets[i] : sign_of(h[i]);
        relaxed[lane] += relaxation_of<relaxation>(h[i], t, margin).loss;
        excess[lane] += at_least_zero(magnitude(h[i]) - 1);
        quantised[lane] += (t - h[i]) * (t - h[i]);
    };
    in_lanes(count, step);
    for (size_t lane = 0; lane < logistic_lanes; ++lane) {
        sums.relaxation += static_cast<double>(relaxed[lane]);
        sums.excess += static_cast<double>(excess[lane]);
        sums.quantisation += static_cast<double>(quantised[lane]);
    }
}

/// Derivatives by values of which h is made, with those of something else by h, that `slopes` hold,
/// when `continued`. `beside` [count] are those of the sums of the columns.
template <Relaxation relaxation, bool has_targets, bool continued, bool is_tanh, class T>
void set_relaxed_sign_slopes(const T* __restrict h, const T* __restrict targets,
                             const T* __restrict beside, size_t count, const RelaxedSignRule& rule,
                             const RelaxedSignWeights<T>& weights, T* __restrict slopes) {
    const T margin = static_cast<T>(rule.margin);
    const T beta = static_cast<T>(rule.beta);
    const RelaxedSignWeights<T> of = weights;
    for (size_t i = 0; i < count; ++i) {
        const T t = has_targets ? targets[i] : sign_of(h[i]);
        const T outside = magnitude(h[i]) > 1 ? sign_of(h[i]) : T{0};
        T slope = of.relaxation * relaxation_of<relaxation>(h[i], t, margin).slope +
                  of.excess * outside + 2 * of.quantisation * (h[i] - t) + beside[i];
        if (continued) slope += slopes[i];
        slopes[i] = is_tanh ? slope * (beta * (1 - h[i] * h[i])) : slope;
    }
}

/// Calls body.operator()<relaxation, has_targets>().
template <class Body>
[[gnu::always_inline]] inline void with_rule(Relaxation relaxation, bool has_targets,
                                             const Body& body) {
    const auto choose = [&]<Relaxation chosen>() {
        if (has_targets) return body.template operator()<chosen, true>();
        body.template operator()<chosen, false>();
    };
    switch (relaxation) {
        case Relaxation::power_1:
            return choose.template operator()<Relaxation::power_1>();
        case Relaxation::power_2:
            return choose.template operator()<Relaxation::power_2>();
        case Relaxation::power_3:
            return choose.template operator()<Relaxation::power_3>();
        case Relaxation::polarisation:
            return choose.template operator()<Relaxation::polarisation>();
    }
}

/// h of `count` values: the values themselves, or in `room`.
template <class T>
[[gnu::always_inline]] inline const T* relaxed(const T* values, size_t count, double beta,
                                               T* room) {
    if (beta == 0) return values;
    const T scale = static_cast<T>(beta);
    for (size_t i = 0; i < count; ++i) room[i] = tanh_of(scale * values[i]);
    return room;
}

template <class T>
void relaxed_sign_sums(const T* values, const T* targets, size_t rows, size_t bits,
                       const RelaxedSignRule& rule, T* kept, RelaxedSignSums& sums) {
    const T margin = static_cast<T>(rule.margin);
    T room[relaxed_sign_chunk];
    for_chunks(rows, bits, [&](size_t first, size_t count, size_t column) {
        T* const at = kept == nullptr ? room : kept + first;
        const T* h = relaxed(values + first, count, rule.beta, at);
        with_rule(rule.relaxation, targets != nullptr, [&]<Relaxation chosen, bool has_targets>() {
            const T* t = has_targets ? targets + first : nullptr;
            add_relaxed_sign_sums<chosen, has_targets>(h, t, count, margin, sums);
        });
        const size_t width = bits < count ? bits : count;
        for (size_t row = 0; row < count; row += width)
            for (size_t i = 0; i < width; ++i)
                sums.columns[column + i] += static_cast<double>(h[row + i]);
    });
}

template <class T>
void relaxed_sign_slopes(const T* values, const T* targets, size_t rows, size_t bits,
                         const RelaxedSignRule& rule, const RelaxedSignWeights<T>& weights,
                         bool continued, T* slopes) {
    T room[relaxed_sign_chunk];
    T of_rows[relaxed_sign_chunk];  // weights.columns again and again
    if (bits < relaxed_sign_chunk)
        for (size_t i = 0; i < relaxed_sign_chunk / bits * bits; ++i)
            of_rows[i] = i < bits ? weights.columns[i] : of_rows[i - bits];
    for_chunks(rows, bits, [&](size_t first, size_t count, size_t column) {
        const T* h = relaxed(values + first, count, continued ? 0 : rule.beta, room);
        const T* beside = bits < relaxed_sign_chunk ? of_rows : weights.columns + column;
        with_rule(rule.relaxation, targets != nullptr, [&]<Relaxation chosen, bool has_targets>() {
            const T* t = has_targets ? targets + first : nullptr;
            const auto set = [&]<bool is_continued, bool is_tanh>() {
                set_relaxed_sign_slopes<chosen, has_targets, is_continued, is_tanh>(
                    h, t, beside, count, rule, weights, slopes + first);
            };
            if (continued)
                rule.beta == 0 ? set.template operator()<true, false>()
                               : set.template operator()<true, true>();
            else
                rule.beta == 0 ? set.template operator()<false, false>()
                               : set.template operator()<false, true>();
        });
    });
}

template <class T>
double correlate(T* products, size_t first, size_t rows, size_t bits, T scale) {
    const size_t count = rows * bits;
    for (size_t i = 0; i < count; ++i) products[i] *= scale;
    for (size_t row = 0; row < rows; ++row) products[row * bits + first + row] -= 1;
    T squares[logistic_lanes] = {};
    in_lanes(count, [&](size_t i, size_t lane) { squares[lane] += products[i] * products[i]; });
    double sum = 0;
    for (const T lane : squares) sum += static_cast<double>(lane);
    return sum;
}

}  // namespace
}  // namespace hashcore
