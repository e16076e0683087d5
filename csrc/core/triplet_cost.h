#pragma once
#include <cmath>

#include "core/anywhere.h"
#include "hashcore/ops.h"

namespace hashcore {

/// What one triplet costs, and the derivative by its d_ap.
struct TripletCost {
    double loss, slope;
    bool counted;  ///< see TripletSums
};

/// Of a triplet with x = margin + d_ap - d_an.
HASHCORE_ANYWHERE inline TripletCost cost_of(Penalty penalty, double x, double weight) {
    if (penalty == Penalty::hinge)
        return x > 0 ? TripletCost{weight * x, weight, true} : TripletCost{0, 0, false};
    const double tail = exp(-fabs(x));
    const double loss = (x > 0 ? x : 0) + log1p(tail);
    return {weight * loss, weight * (x < 0 ? tail : 1) / (1 + tail), true};
}

}  // namespace hashcore
