// Included by the ISA units: no STL here.
#pragma once

namespace hashcore {

/// What the outputs u of a hash function pay for not being signs. With h = u, or tanh(beta u), and
/// targets t = -1 or +1, those of h itself where none are given (-1 at zero):
enum class Relaxation {
    power_1,       ///< | |h| - 1 |
    power_2,       ///< its square
    power_3,       ///< its cube
    polarisation,  ///< max(0, margin - h t)
};
struct RelaxedSignRule {
    Relaxation relaxation;
    double margin;  ///< of the polarisation
    double beta;    ///< 0: h = u
};

/// Sums over all values.
struct RelaxedSignSums {
    double relaxation;    ///< see Relaxation
    double excess;        ///< max(0, |h| - 1)
    double quantisation;  ///< (t - h)^2
    double* columns;      ///< [bits] h
};

/// The derivatives by each of those sums; `columns` [bits] those by each column's.
template <class T>
struct RelaxedSignWeights {
    T relaxation, excess, quantisation;
    const T* columns;
};

}  // namespace hashcore
