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

/// Each over the number of values.
RelaxedSignTerms over(const RelaxedSignTerms& terms, int64_t rows, int64_t bits) {
    const double size = std::max(1.0, static_cast<double>(rows) * static_cast<double>(bits));
    return {terms.relaxation / size, terms.excess / size, terms.quantisation / size,
            terms.balance / size};
}

}  // namespace

template <class Scalar>
RelaxedSignTerms relaxed_sign_terms(const Scalar* values, const Scalar* targets, int64_t rows,
                                    int64_t bits, const RelaxedSignRule& rule, int threads,
                                    Scalar* relaxed, double* columns) {
    const LossKernels<Scalar>& table = loss_kernels<Scalar>();
    const auto width = static_cast<size_t>(bits);
    const auto tasks = static_cast<size_t>((rows + rows_a_task(bits) - 1) / rows_a_task(bits));
    std::vector<double> of_tasks(tasks * width);
    std::vector<RelaxedSignSums> parts(tasks);
    for_row_ranges(rows, bits, threads, [&](size_t task, int64_t first, int64_t count) {
        RelaxedSignSums& part = parts[task] = {0, 0, 0, of_tasks.data() + task * width};
        const Scalar* own = values + first * bits;
        const Scalar* own_targets = targets == nullptr ? nullptr : targets + first * bits;
        Scalar* own_relaxed = relaxed == nullptr ? nullptr : relaxed + first * bits;
        table.relaxed_sign_sums(own, own_targets, static_cast<size_t>(count), width, rule,
                                own_relaxed, part);
    });
    RelaxedSignTerms terms{};
    std::fill(columns, columns + width, 0.0);
    for (const RelaxedSignSums& part : parts) {
        terms.relaxation += part.relaxation;
        terms.excess += part.excess;
        terms.quantisation += part.quantisation;
        for (size_t i = 0; i < width; ++i) columns[i] += part.columns[i];
    }
    for (size_t i = 0; i < width; ++i) terms.balance += columns[i] * columns[i];
    return over(terms, rows, bits);
}

template <class Scalar>
void relaxed_sign_slopes(const Scalar* values, const Scalar* targets, int64_t rows, int64_t bits,
                         const RelaxedSignRule& rule, const RelaxedSignTerms& of_terms,
                         const double* columns, int threads, bool continued, Scalar* slopes) {
    const LossKernels<Scalar>& table = loss_kernels<Scalar>();
    const auto width = static_cast<size_t>(bits);
    const RelaxedSignTerms of_sums = over(of_terms, rows, bits);
    std::vector<Scalar> of_columns(width);
    for (size_t i = 0; i < width; ++i)
        of_columns[i] = static_cast<Scalar>(2 * of_sums.balance * columns[i]);
    const RelaxedSignWeights<Scalar> weights{
        static_cast<Scalar>(of_sums.relaxation), static_cast<Scalar>(of_sums.excess),
        static_cast<Scalar>(of_sums.quantisation), of_columns.data()};
    for_row_ranges(rows, bits, threads, [&](size_t, int64_t first, int64_t count) {
        const Scalar* own = values + first * bits;
        const Scalar* own_targets = targets == nullptr ? nullptr : targets + first * bits;
        table.relaxed_sign_slopes(own, own_targets, static_cast<size_t>(count), width, rule,
                                  weights, continued, slopes + first * bits);
    });
}

template <class Scalar>
double correlate(Scalar* products, int64_t rows, int64_t bits, int threads) {
    const LossKernels<Scalar>& table = loss_kernels<Scalar>();
    const Scalar scale = 1 / static_cast<Scalar>(std::max<int64_t>(rows, 1));
    std::vector<double> parts(static_cast<size_t>(bits));
    for_row_ranges(bits, bits, threads, [&](size_t task, int64_t first, int64_t count) {
        parts[task] = table.correlate(products + first * bits, static_cast<size_t>(first),
                                      static_cast<size_t>(count), static_cast<size_t>(bits), scale);
    });
    double sum = 0;
    for (const double part : parts) sum += part;
    return sum / (static_cast<double>(bits) * static_cast<double>(bits));
}

template RelaxedSignTerms relaxed_sign_terms(const float*, const float*, int64_t, int64_t,
                                             const RelaxedSignRule&, int, float*, double*);
template RelaxedSignTerms relaxed_sign_terms(const double*, const double*, int64_t, int64_t,
                                             const RelaxedSignRule&, int, double*, double*);
template void relaxed_sign_slopes(const float*, const float*, int64_t, int64_t,
                                  const RelaxedSignRule&, const RelaxedSignTerms&, const double*,
                                  int, bool, float*);
template void relaxed_sign_slopes(const double*, const double*, int64_t, int64_t,
                                  const RelaxedSignRule&, const RelaxedSignTerms&, const double*,
                                  int, bool, double*);
template double correlate(float*, int64_t, int64_t, int);
template double correlate(double*, int64_t, int64_t, int);

}  // namespace hashcore
