#include "hashcore/ops.h"

namespace hashcore {

template <class Scalar>
void add_hard_gradients(const RowPairs<Scalar>& pairs, const HardTriplets<Scalar>& hard,
                        Scalar scale, Scalar* of_anchors, Scalar* of_candidates) {
    for (int64_t place = 0; place < 2 * pairs.rows; ++place) {
        const Scalar slope = scale * hard.slopes[place];
        if (slope == 0) continue;
        const int64_t row = place / 2 * pairs.bits, column = hard.columns[place] * pairs.bits;
        const Scalar* a = pairs.anchors + row;
        const Scalar* c = pairs.candidates + column;
        Scalar* of_a = of_anchors + row;
        Scalar* of_c = of_candidates + column;
        if (pairs.squared) {
            for (int64_t i = 0; i < pairs.bits; ++i) {
                const Scalar pull = 2 * slope * (a[i] - c[i]);
                of_a[i] += pull;
                of_c[i] -= pull;
            }
        } else {
            for (int64_t i = 0; i < pairs.bits; ++i) {
                of_a[i] -= slope * c[i];
                of_c[i] -= slope * a[i];
            }
        }
    }
}

template void add_hard_gradients(const RowPairs<float>&, const HardTriplets<float>&, float, float*,
                                 float*);
template void add_hard_gradients(const RowPairs<double>&, const HardTriplets<double>&, double,
                                 double*, double*);

}  // namespace hashcore
