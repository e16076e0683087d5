#include <algorithm>

#include "cuda/runtime.h"
#include "cuda/sign_value.h"

namespace hashcore::cuda {
namespace {

// A block takes a tile of columns, a warp one row of it at a time.
constexpr int tile_columns = 32;
constexpr int tile_rows = 8;
constexpr int tile_threads = tile_columns * tile_rows;
constexpr int64_t rows_a_block = 32;
constexpr int64_t most_parts = 64;
constexpr int finish_threads = 512;
constexpr int terms = 3;  // relaxation, excess, quantisation

/// Parts that the rows are cut to, and tiles of the columns.
struct Cut {
    int64_t parts, tiles;

    Cut(int64_t rows, int64_t bits)
        : parts(std::clamp<int64_t>(rows / rows_a_block, 1, most_parts)),
          tiles((bits + tile_columns - 1) / tile_columns) {}
};

template <class T>
struct Values {
    const T* values;
    const T* targets;
    int64_t rows, bits;
    RelaxedSignRule rule;
    double beta;  // 0: the values are h

    explicit Values(const Outputs& outputs, const RelaxedSignRule& of, bool are_relaxed = false)
        : values(static_cast<const T*>(outputs.values)),
          targets(static_cast<const T*>(outputs.targets)),
          rows(outputs.rows),
          bits(outputs.bits),
          rule(of),
          beta(are_relaxed ? 0 : of.beta) {}
    __device__ SignValue<T> at(int64_t row, int64_t bit) const {
        const int64_t i = row * bits + bit;
        return SignValue<T>::of(values[i], beta, targets == nullptr ? nullptr : targets + i);
    }
};

/// columns [parts, bits] and sums [parts, tiles, terms] of a part.
template <class T>
__global__ void sum_tiles(const Values<T> outputs, T* relaxed, double* columns, double* sums) {
    __shared__ double of_thread[terms + 1][tile_threads];
    const int64_t bit = int64_t{blockIdx.x} * tile_columns + threadIdx.x % tile_columns;
    const int64_t part = blockIdx.y, parts = gridDim.y;
    double totals[terms + 1] = {};
    if (bit < outputs.bits) {
#pragma unroll 4
        for (int64_t row = part * tile_rows + threadIdx.x / tile_columns; row < outputs.rows;
             row += parts * tile_rows) {
            const SignValue<T> value = outputs.at(row, bit);
            if (relaxed != nullptr) relaxed[row * outputs.bits + bit] = value.h;
            totals[0] += static_cast<double>(value.relaxation(outputs.rule).loss);
            totals[1] += static_cast<double>(value.excess());
            totals[2] += static_cast<double>(value.quantisation());
            totals[terms] += static_cast<double>(value.h);
        }
    }
    for (int term = 0; term <= terms; ++term) of_thread[term][threadIdx.x] = totals[term];
    __syncthreads();
    if (threadIdx.x < tile_columns && bit < outputs.bits) {
        double column = 0;
        for (int row = 0; row < tile_rows; ++row)
            column += of_thread[terms][row * tile_columns + threadIdx.x];
        columns[part * outputs.bits + bit] = column;
    }
    for (unsigned half = tile_threads / 2; half > 0; half /= 2) {
        if (threadIdx.x < half)
            for (int term = 0; term < terms; ++term)
                of_thread[term][threadIdx.x] += of_thread[term][threadIdx.x + half];
        __syncthreads();
    }
    if (threadIdx.x < terms)
        sums[(part * gridDim.x + blockIdx.x) * terms + threadIdx.x] = of_thread[threadIdx.x][0];
}

/// One block: the parts to means [terms + 1] and columns [bits].
template <class T>
__global__ void join_tiles(const double* of_parts, const double* sums, int64_t rows, int64_t bits,
                           int64_t parts, int64_t tiles, T* means, double* columns) {
    __shared__ uint64_t memory[finish_threads * room_a_thread / sizeof(uint64_t)];
    BlockTeam team(memory);
    const double size = rows > 0 ? static_cast<double>(rows) * static_cast<double>(bits) : 1;
    for (int term = 0; term < terms; ++term) {
        const double total =
            sum<double>(team, parts * tiles, [&](int64_t i) { return sums[i * terms + term]; });
        if (threadIdx.x == 0) means[term] = static_cast<T>(total / size);
    }
    const double balance = sum<double>(team, bits, [&](int64_t bit) {
        double column = 0;
        for (int64_t part = 0; part < parts; ++part) column += of_parts[part * bits + bit];
        columns[bit] = column;
        return column * column;
    });
    if (threadIdx.x == 0) means[terms] = static_cast<T>(balance / size);
}

template <class T>
__global__ void slopes_of_tiles(const Values<T> outputs, const T* of_means, const double* columns,
                                bool continued, T* slopes) {
    const int64_t bit = int64_t{blockIdx.x} * tile_columns + threadIdx.x % tile_columns;
    if (bit >= outputs.bits) return;
    const double size = static_cast<double>(outputs.rows) * static_cast<double>(outputs.bits);
    T of_terms[terms];
    for (int term = 0; term < terms; ++term)
        of_terms[term] = static_cast<T>(static_cast<double>(of_means[term]) / size);
    const T of_column =
        static_cast<T>(2 * static_cast<double>(of_means[terms]) / size * columns[bit]);
    const int64_t step = int64_t{gridDim.y} * tile_rows;
#pragma unroll 4
    for (int64_t row = int64_t{blockIdx.y} * tile_rows + threadIdx.x / tile_columns;
         row < outputs.rows; row += step) {
        T& slope = slopes[row * outputs.bits + bit];
        const T beside = continued ? of_column + slope : of_column;
        slope = outputs.at(row, bit).slope(outputs.rule, of_terms, beside);
    }
}

template <class Body>
void with_type(Number type, const Body& body) {
    if (type == Number::float64) return body(double{});
    body(float{});
}

dim3 grid_of(const Cut& cut, int64_t parts) {
    return {static_cast<unsigned>(cut.tiles), static_cast<unsigned>(parts)};
}

}  // namespace

int64_t relaxed_sign_room(int64_t rows, int64_t bits) {
    const Cut cut(rows, bits);
    return cut.parts * (bits + cut.tiles * terms);
}

void relaxed_sign_sums(const Outputs& outputs, const RelaxedSignRule& rule, double* room,
                       void* relaxed, void* means, double* columns, const Stream& stream) {
    const Cut cut(outputs.rows, outputs.bits);
    double* const sums = room + cut.parts * outputs.bits;
    with_type(outputs.type, [&](auto zero) {
        using T = decltype(zero);
        const Values<T> values(outputs, rule);
        launch(stream, "terms of the relaxed sign", sum_tiles<T>, grid_of(cut, cut.parts),
               tile_threads, 0, values, rule.beta == 0 ? nullptr : static_cast<T*>(relaxed), room,
               sums);
        launch(stream, "sums of the relaxed sign", join_tiles<T>, 1, finish_threads, 0, room, sums,
               outputs.rows, outputs.bits, cut.parts, cut.tiles, static_cast<T*>(means), columns);
    });
}

void relaxed_sign_slopes(const Outputs& outputs, const RelaxedSignRule& rule, const void* of_means,
                         const double* columns, bool continued, void* slopes,
                         const Stream& stream) {
    if (outputs.rows == 0) return;
    const Cut cut(outputs.rows, outputs.bits);
    const int64_t parts = std::clamp<int64_t>(outputs.rows / rows_a_block, 1, 16 * most_parts);
    with_type(outputs.type, [&](auto zero) {
        using T = decltype(zero);
        launch(stream, "slopes of the relaxed sign", slopes_of_tiles<T>, grid_of(cut, parts),
               tile_threads, 0, Values<T>(outputs, rule, continued),
               static_cast<const T*>(of_means), columns, continued, static_cast<T*>(slopes));
    });
}

}  // namespace hashcore::cuda
