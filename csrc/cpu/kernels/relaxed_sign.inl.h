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

/// Calls body(first, count) for parts of at most relaxed_sign_chunk values.
template <class Body>
[[gnu::always_inline]] inline void for_chunks(size_t size, const Body& body) {
    for (size_t first = 0; first < size; first += relaxed_sign_chunk)
        body(first, size - first < relaxed_sign_chunk ? size - first : relaxed_sign_chunk);
}

/// Calls body(i, column of i) for `count` values of rows of `bits`, the first of them in `column`,
/// which becomes that of the value behind the last.
template <class Body>
[[gnu::always_inline]] inline void for_columns(size_t count, size_t bits, size_t& column,
                                               const Body& body) {
    for (size_t i = 0; i < count;) {
        const size_t left = bits - column < count - i ? bits - column : count - i;
        for (size_t j = 0; j < left; ++j) body(i + j, column + j);
        i += left;
        column = column + left == bits ? 0 : column + left;
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

/// Derivatives by h, beside those that `slopes` hold when `continued`.
template <Relaxation relaxation, bool has_targets, bool continued, class T>
void set_relaxed_sign_slopes(const T* h, const T* targets, size_t count, T margin,
                             const RelaxedSignWeights& weights, T* slopes) {
    const T of_relaxation = static_cast<T>(weights.relaxation);
    const T of_excess = static_cast<T>(weights.excess);
    const T of_quantisation = static_cast<T>(2 * weights.quantisation);
    for (size_t i = 0; i < count; ++i) {
        const T t = has_targets ? targets[i] : sign_of(h[i]);
        const T outside = magnitude(h[i]) > 1 ? sign_of(h[i]) : T{0};
        const T slope = of_relaxation * relaxation_of<relaxation>(h[i], t, margin).slope +
                        of_excess * outside + of_quantisation * (h[i] - t);
        slopes[i] = continued ? slopes[i] + slope : slope;
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
    size_t column = 0;
    for_chunks(rows * bits, [&](size_t first, size_t count) {
        T* const at = kept == nullptr ? room : kept + first;
        const T* h = relaxed(values + first, count, rule.beta, at);
        with_rule(rule.relaxation, targets != nullptr, [&]<Relaxation chosen, bool has_targets>() {
            const T* t = has_targets ? targets + first : nullptr;
            add_relaxed_sign_sums<chosen, has_targets>(h, t, count, margin, sums);
        });
        for_columns(count, bits, column, [&](size_t i, size_t in_row) {
            sums.columns[in_row] += static_cast<double>(h[i]);
        });
    });
}

template <class T>
void relaxed_sign_slopes(const T* values, const T* targets, size_t rows, size_t bits,
                         const RelaxedSignRule& rule, const RelaxedSignWeights& weights,
                         bool continued, T* slopes) {
    const T margin = static_cast<T>(rule.margin);
    const T beta = static_cast<T>(rule.beta);
    T room[relaxed_sign_chunk];
    size_t column = 0;
    for_chunks(rows * bits, [&](size_t first, size_t count) {
        const T* h = relaxed(values + first, count, continued ? 0 : rule.beta, room);
        T* out = slopes + first;
        with_rule(rule.relaxation, targets != nullptr, [&]<Relaxation chosen, bool has_targets>() {
            const T* t = has_targets ? targets + first : nullptr;
            if (continued)
                set_relaxed_sign_slopes<chosen, has_targets, true>(h, t, count, margin, weights,
                                                                   out);
            else
                set_relaxed_sign_slopes<chosen, has_targets, false>(h, t, count, margin, weights,
                                                                    out);
        });
        for_columns(count, bits, column, [&](size_t i, size_t in_row) {
            out[i] += static_cast<T>(weights.columns[in_row]);
        });
        if (rule.beta != 0)
            for (size_t i = 0; i < count; ++i) out[i] *= beta * (1 - h[i] * h[i]);
    });
}

}  // namespace
}  // namespace hashcore
