#include <algorithm>
#include <vector>

#include "core/thread_pool.h"
#include "cpu/dispatch.h"
#include "hashcore/ops.h"

namespace hashcore {
namespace {

constexpr int64_t values_a_task = int64_t{1} << 16;

int64_t rows_a_task(int64_t bits) {
    return std::max<int64_t>(1, values_a_task / bits);
}

/// Calls body(task, first row, rows) in parallel.
template <class Body>
void for_row_ranges(int64_t rows, int64_t bits, int threads, const Body& body) {
    const int64_t step = rows_a_task(bits);
    parallel_for((rows + step - 1) / step, threads, nullptr, [&](int64_t task) {
        body(static_cast<size_t>(task), task * step, std::min(step, rows - task * step));
    });
}

}  // namespace

template <class Scalar>
void relaxed_sign_sums(const Scalar* values, const Scalar* targets, int64_t rows, int64_t bits,
                       const RelaxedSignRule& rule, int threads, Scalar* relaxed,
                       RelaxedSignSums& sums) {
    const LossKernels<Scalar>& table = loss_kernels<Scalar>();
    const auto width = static_cast<size_t>(bits);
    const auto tasks = static_cast<size_t>((rows + rows_a_task(bits) - 1) / rows_a_task(bits));
    std::vector<double> columns(tasks * width);
    std::vector<RelaxedSignSums> parts(tasks);
    for_row_ranges(rows, bits, threads, [&](size_t task, int64_t first, int64_t count) {
        RelaxedSignSums& part = parts[task] = {0, 0, 0, columns.data() + task * width};
        const Scalar* own = values + first * bits;
        const Scalar* own_targets = targets == nullptr ? nullptr : targets + first * bits;
        Scalar* own_relaxed = relaxed == nullptr ? nullptr : relaxed + first * bits;
        table.relaxed_sign_sums(own, own_targets, static_cast<size_t>(count), width, rule,
                                own_relaxed, part);
    });
    sums.relaxation = sums.excess = sums.quantisation = 0;
    std::fill(sums.columns, sums.columns + width, 0.0);
    for (const RelaxedSignSums& part : parts) {
        sums.relaxation += part.relaxation;
        sums.excess += part.excess;
        sums.quantisation += part.quantisation;
        for (size_t i = 0; i < width; ++i) sums.columns[i] += part.columns[i];
    }
}

template <class Scalar>
void relaxed_sign_slopes(const Scalar* values, const Scalar* targets, int64_t rows, int64_t bits,
                         const RelaxedSignRule& rule, const RelaxedSignWeights& weights,
                         int threads, bool continued, Scalar* slopes) {
    const LossKernels<Scalar>& table = loss_kernels<Scalar>();
    const auto width = static_cast<size_t>(bits);
    for_row_ranges(rows, bits, threads, [&](size_t, int64_t first, int64_t count) {
        const Scalar* own = values + first * bits;
        const Scalar* own_targets = targets == nullptr ? nullptr : targets + first * bits;
        table.relaxed_sign_slopes(own, own_targets, static_cast<size_t>(count), width, rule,
                                  weights, continued, slopes + first * bits);
    });
}

template void relaxed_sign_sums(const float*, const float*, int64_t, int64_t,
                                const RelaxedSignRule&, int, float*, RelaxedSignSums&);
template void relaxed_sign_sums(const double*, const double*, int64_t, int64_t,
                                const RelaxedSignRule&, int, double*, RelaxedSignSums&);
template void relaxed_sign_slopes(const float*, const float*, int64_t, int64_t,
                                  const RelaxedSignRule&, const RelaxedSignWeights&, int, bool,
                                  float*);
template void relaxed_sign_slopes(const double*, const double*, int64_t, int64_t,
                                  const RelaxedSignRule&, const RelaxedSignWeights&, int, bool,
                                  double*);

}  // namespace hashcore
