#include <algorithm>
#include <vector>

#include "core/thread_pool.h"
#include "cpu/dispatch.h"
#include "hashcore/ops.h"

namespace hashcore {
namespace {

constexpr int64_t products_a_task = int64_t{1} << 16;

}  // namespace

template <class Scalar>
double pairwise_likelihood(Scalar* products, int64_t rows, int64_t columns, LabelBits row_labels,
                           LabelBits column_labels, double scale, int threads) {
    if (rows == 0 || columns == 0) return 0;
    const LossKernels<Scalar>& table = loss_kernels<Scalar>();
    std::vector<double> of_rows(static_cast<size_t>(rows));
    const int64_t step = std::max<int64_t>(1, products_a_task / columns);
    parallel_for((rows + step - 1) / step, threads, nullptr, [&](int64_t task) {
        std::vector<Mark<Scalar>> similar(static_cast<size_t>(columns));
        for (int64_t row = task * step; row < std::min(rows, (task + 1) * step); ++row) {
            table.mark_similar(row_labels.data + row * row_labels.words, column_labels.data,
                               static_cast<size_t>(column_labels.words), similar.size(),
                               similar.data());
            Scalar* values = products + row * columns;
            of_rows[static_cast<size_t>(row)] = table.pair_likelihood(
                values, similar.data(), similar.size(), static_cast<Scalar>(scale));
        }
    });
    double sum = 0;
    for (const double loss : of_rows) sum += loss;
    return sum;
}

template double pairwise_likelihood(float*, int64_t, int64_t, LabelBits, LabelBits, double, int);
template double pairwise_likelihood(double*, int64_t, int64_t, LabelBits, LabelBits, double, int);

}  // namespace hashcore
