// Sums over the elements of a query and rows named by number: products, squared differences.
//
// Beyond what the distance kernels use, a level offers
// - Floats, float_lanes of them, which divides sum_lanes: zero_floats, floats (from floats, halves
//   given as uint16_t, or int8), add, subtract, multiply, store, and negate_where(x, mask), which
//   turns the sign of the lanes whose bit is set;
// - Shorts, short_lanes int16, which divides sum_lanes: shorts (from int16 or int8), subtract;
// - Int32s, at least four int32: zero_int32s, add_products(sum, a, b), which adds every product of
//   two Shorts to some lane, and sum_int32s.
#pragma once
#include <cstddef>
#include <cstdint>

#include "cpu/kernel_table.h"

namespace hashcore {
namespace {

/// Lane j takes lane j + Half until one is left.
template <size_t Half>
[[gnu::always_inline]] inline float halve(float* lane) {
    for (size_t i = 0; i < Half; ++i) lane[i] += lane[i + Half];
    if constexpr (Half > 1) return halve<Half / 2>(lane);
    return lane[0];
}

/// Float arithmetic in the order that sum_lanes sets.
template <class V>
struct FloatMath {
    using Value = typename V::Floats;
    static constexpr size_t lanes = V::float_lanes;
    static constexpr size_t parts = sum_lanes / lanes;

    struct Sum {
        Value part[parts];

        Sum() {
            for (Value& lane : part) lane = V::zero_floats();
        }
        void add_product(size_t i, Value a, Value b) {
            part[i] = V::add(part[i], V::multiply(a, b));
        }
        float total() {
            for (size_t half = parts / 2; half > 0; half /= 2)
                for (size_t i = 0; i < half; ++i) part[i] = V::add(part[i], part[i + half]);
            float lane[lanes];
            V::store(lane, part[0]);
            return halve<lanes / 2>(lane);
        }
    };

    template <class Element>
    static Value load(const Element* from) {
        return V::floats(from);
    }
};

/// Exact arithmetic on int8 values: with at most max_dims elements, no lane leaves int32.
template <class V>
struct IntegerMath {
    using Value = typename V::Shorts;
    static constexpr size_t lanes = V::short_lanes;
    static constexpr size_t parts = sum_lanes / lanes;

    struct Sum {
        typename V::Int32s part[parts];

        Sum() {
            for (auto& lanes_i32 : part) lanes_i32 = V::zero_int32s();
        }
        void add_product(size_t i, Value a, Value b) { part[i] = V::add_products(part[i], a, b); }
        float total() {
            int64_t sum = 0;
            for (const auto& lanes_i32 : part) sum += V::sum_int32s(lanes_i32);
            return static_cast<float>(sum);
        }
    };

    template <class Element>
    static Value load(const Element* from) {
        return V::shorts(from);
    }
};

template <class V, class Math>
struct Dot {
    typename Math::Sum products;

    void add(size_t part, typename Math::Value query, typename Math::Value row) {
        products.add_product(part, query, row);
    }
    void store(float* sum, float*) { *sum = products.total(); }
};

template <class V, class Math>
struct SquaredDistance {
    typename Math::Sum squares;

    void add(size_t part, typename Math::Value query, typename Math::Value row) {
        const typename Math::Value difference = V::subtract(query, row);
        squares.add_product(part, difference, difference);
    }
    void store(float* sum, float*) { *sum = squares.total(); }
};

template <class V, class Math>
struct DotAndSquare {
    typename Math::Sum products;
    typename Math::Sum squares;

    void add(size_t part, typename Math::Value query, typename Math::Value row) {
        products.add_product(part, query, row);
        squares.add_product(part, row, row);
    }
    void store(float* sum, float* square) {
        *sum = products.total();
        *square = squares.total();
    }
};

/// Rows of numbers: sum_lanes elements a step.
template <class Math, class Query, class Row>
struct Elements {
    using QueryElement = Query;
    using RowElement = Row;

    static constexpr size_t row_length(size_t dims) { return dims; }

    template <class Sums>
    [[gnu::always_inline]] static void step(Sums& sums, const Query* query, const Row* row) {
        for (size_t part = 0; part < Math::parts; ++part)
            sums.add(part, Math::load(query + part * Math::lanes),
                     Math::load(row + part * Math::lanes));
    }
};

/// Packed codes: a set bit adds the query's element, a clear one subtracts it. The query stands in
/// the order of the bits as they are numbered from the low end of each byte.
template <class V>
struct Bits {
    using QueryElement = float;
    using RowElement = uint8_t;

    static constexpr size_t row_length(size_t dims) { return (dims + 7) / 8; }

    struct SignedSum {
        typename FloatMath<V>::Sum sum;
        void store(float* to, float*) { *to = sum.total(); }
    };

    [[gnu::always_inline]] static void step(SignedSum& sums, const float* query,
                                            const uint8_t* row) {
        const uint32_t set = uint32_t{row[0]} | uint32_t{row[1]} << 8 | uint32_t{row[2]} << 16 |
                             uint32_t{row[3]} << 24;
        for (size_t part = 0; part < FloatMath<V>::parts; ++part) {
            const size_t first = part * V::float_lanes;
            typename V::Floats& lanes = sums.sum.part[part];
            lanes = V::add(lanes, V::negate_where(V::floats(query + first), ~set >> first));
        }
    }
};

/// Rows on their way from memory while one is summed.
inline constexpr size_t row_bytes_ahead = 4096;
inline constexpr size_t most_rows_ahead = 16;

template <class Rows, class Sums>
void row_sums(const void* query_data, const void* row_data, size_t dims, const int64_t* ids,
              size_t count, float* sums, float* squares) {
    using Row = typename Rows::RowElement;
    constexpr size_t row_step = Rows::row_length(sum_lanes);
    constexpr size_t cache_line = 64 / sizeof(Row);
    const auto* query = static_cast<const typename Rows::QueryElement*>(query_data);
    const size_t length = Rows::row_length(dims);
    const auto row_at = [&](size_t i) {
        return static_cast<const Row*>(row_data) + static_cast<size_t>(ids[i]) * length;
    };
    size_t ahead = row_bytes_ahead / (length * sizeof(Row)) + 1;
    if (ahead > most_rows_ahead) ahead = most_rows_ahead;

    for (size_t i = 0; i < count; ++i) {
        const Row* row = row_at(i);
        const Row* later = row_at(i + ahead < count ? i + ahead : i);
        Sums accumulated;
        size_t dim = 0;
        for (size_t start = 0; start < length; start += row_step, dim += sum_lanes) {
            // At the pace of the sums: a burst would hold up the loads of this row.
            if (start % cache_line == 0)
                for (size_t j = 0; j < row_step; j += cache_line)
                    __builtin_prefetch(later + start + j);
            if (start + row_step <= length) {
                Rows::step(accumulated, query + dim, row + start);
                continue;
            }
            Row tail[row_step] = {};
            for (size_t j = start; j < length; ++j) tail[j - start] = row[j];
            Rows::step(accumulated, query + dim, tail);
        }
        accumulated.store(sums + i, squares + i);
    }
}

template <class V, class Math, class Query, class Row>
constexpr RowKernels make_row_kernels() {
    using Rows = Elements<Math, Query, Row>;
    return {row_sums<Rows, Dot<V, Math>>, row_sums<Rows, SquaredDistance<V, Math>>,
            row_sums<Rows, DotAndSquare<V, Math>>};
}

template <class V>
constexpr RowSumKernels make_row_sum_kernels() {
    using Floats = FloatMath<V>;
    return {make_row_kernels<V, Floats, float, float>(),
            make_row_kernels<V, Floats, float, uint16_t>(),
            make_row_kernels<V, Floats, float, int8_t>(),
            make_row_kernels<V, IntegerMath<V>, int16_t, int8_t>(),
            row_sums<Bits<V>, typename Bits<V>::SignedSum>};
}

}  // namespace
}  // namespace hashcore
