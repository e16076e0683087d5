#include <cmath>

#include "cuda/runtime.h"

namespace hashcore::cuda {
namespace {

constexpr int threads = 256;

/// A block a row.
__global__ void likelihood_of_row(float* products, int64_t columns, const PairLabels labels,
                                  float scale, double* losses) {
    __shared__ uint64_t memory[threads * room_a_thread / sizeof(uint64_t)];
    BlockTeam team(memory);
    const int64_t row = blockIdx.x;
    float* values = products + row * columns;
    const uint64_t* own = labels.rows + row * labels.words;
    const double loss = sum<double>(team, columns, [&](int64_t i) {
        uint64_t both = 0;
        for (int64_t w = 0; w < labels.words; ++w)
            both |= own[w] & labels.columns[i * labels.words + w];
        const float similar = both != 0 ? 1.0F : 0.0F;
        const float theta = scale * values[i];
        const float tail = expf(-fabsf(theta));
        values[i] = (theta < 0 ? tail : 1.0F) / (1 + tail) - similar;
        const float positive = theta < 0 ? 0.0F : theta;  // NaN of NaN
        return static_cast<double>(positive + log1pf(tail) - similar * theta);
    });
    if (threadIdx.x == 0) losses[row] = loss;
}

}  // namespace

void pairwise_likelihood(float* products, int64_t rows, int64_t columns, const PairLabels& labels,
                         float scale, double* losses, const Stream& stream) {
    if (rows == 0) return;
    launch(stream, "the pairwise likelihood", likelihood_of_row, static_cast<unsigned>(rows),
           threads, 0, products, columns, labels, scale, losses);
}

}  // namespace hashcore::cuda
