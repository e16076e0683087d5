// What one output of a hash function pays for not being a sign; see RelaxedSignRule.
#pragma once
#include <cmath>

#include "cuda/team.h"
#include "hashcore/relaxed_sign.h"

namespace hashcore::cuda {

template <class T>
struct LossAndSlope {
    T loss, slope;
};

/// Of the output u, h itself where beta is 0, with target t where there is one.
template <class T>
struct SignValue {
    T h, target;

    HASHCORE_ANYWHERE static SignValue of(T u, double beta, const T* target) {
        const T h = beta == 0 ? u : static_cast<T>(tanh(static_cast<T>(beta) * u));
        return {h, target != nullptr ? *target : (h > 0 ? T{1} : T{-1})};
    }

    HASHCORE_ANYWHERE T magnitude() const { return h < 0 ? -h : h; }
    HASHCORE_ANYWHERE T excess() const { return magnitude() > 1 ? magnitude() - 1 : T{0} * h; }
    HASHCORE_ANYWHERE T quantisation() const { return (target - h) * (target - h); }

    /// The relaxation, and its derivative by h, which is 0 where there is none.
    HASHCORE_ANYWHERE LossAndSlope<T> relaxation(const RelaxedSignRule& rule) const {
        if (rule.relaxation == Relaxation::polarisation) {
            const T short_by = static_cast<T>(rule.margin) - h * target;
            return {short_by < 0 ? T{0} : short_by, short_by > 0 ? -target : T{0}};
        }
        const T over = magnitude() - 1;
        const T off = over < 0 ? -over : over;
        const T outward = static_cast<T>((h > 0) - (h < 0));
        const T towards = outward * static_cast<T>((over > 0) - (over < 0));
        if (rule.relaxation == Relaxation::power_1) return {off, towards};
        if (rule.relaxation == Relaxation::power_2) return {off * off, 2 * off * towards};
        return {off * off * off, 3 * off * off * towards};
    }

    /// The derivative of all by u: `of_terms` those by the sums of relaxation, excess and
    /// quantisation, `beside` that of all else by h.
    HASHCORE_ANYWHERE T slope(const RelaxedSignRule& rule, const T (&of_terms)[3], T beside) const {
        const T outside = magnitude() > 1 ? (h > 0 ? T{1} : T{-1}) : T{0};
        const T of_h = of_terms[0] * relaxation(rule).slope + of_terms[1] * outside +
                       2 * of_terms[2] * (h - target) + beside;
        return rule.beta == 0 ? of_h : of_h * static_cast<T>(rule.beta) * (1 - h * h);
    }
};

}  // namespace hashcore::cuda
