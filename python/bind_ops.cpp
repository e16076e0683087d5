// Training ops on memory that hashcore.ops has checked and shaped: here it is only made sure that
// the engine stays inside it.
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <optional>

#include "array_args.h"
#include "bindings.h"
#include "hashcore/ops.h"
#include "long_call.h"
#include "rule_args.h"

namespace hashcore::python {
namespace {

template <class Scalar>
using Array = py::array_t<Scalar>;  // never converted: see numbers()

/// "float32 [10, 64]"
template <class Scalar>
std::string expected_numbers(const std::vector<py::ssize_t>& shape) {
    std::string text = py::str(py::dtype::of<Scalar>());
    for (size_t i = 0; i < shape.size(); ++i)
        text += (i == 0 ? " [" : ", ") + std::to_string(shape[i]);
    return text + "], C-contiguous";
}

/// C-contiguous numbers of `shape`.
template <class Scalar>
Array<Scalar> numbers(py::handle object, const char* name, const std::vector<py::ssize_t>& shape) {
    if (!py::isinstance<Array<Scalar>>(object))
        fail_type(name, expected_numbers<Scalar>(shape), object);
    auto array = py::reinterpret_borrow<Array<Scalar>>(object);
    const bool fits = static_cast<size_t>(array.ndim()) == shape.size() &&
                      std::equal(shape.begin(), shape.end(), array.shape());
    if (!fits || (array.flags() & py::array::c_style) == 0)
        fail_value(name, expected_numbers<Scalar>(shape), describe(object));
    return array;
}

/// Products [rows, columns], to be written to, and the labels of both as bits in whole words.
template <class Scalar>
struct PairsArg {
    Array<Scalar> products;
    Array<uint64_t> row_labels, column_labels;
    py::ssize_t rows, columns, words;

    PairsArg(const py::array& values, const py::array& of_rows, const py::array& of_columns) {
        if (values.ndim() != 2) fail_value("products", "[rows, columns]", describe(values));
        if (of_rows.ndim() != 2) fail_value("row_labels", "[rows, words]", describe(of_rows));
        rows = values.shape(0);
        columns = values.shape(1);
        words = of_rows.shape(1);
        products = numbers<Scalar>(values, "products", {rows, columns});
        row_labels = numbers<uint64_t>(of_rows, "row_labels", {rows, words});
        column_labels = numbers<uint64_t>(of_columns, "column_labels", {columns, words});
    }

    LabelBits row_bits() const { return {row_labels.data(), words}; }
    LabelBits column_bits() const { return {column_labels.data(), words}; }
};

template <class Scalar>
const Scalar* optional_numbers(const std::optional<py::array>& object, const char* name,
                               const std::vector<py::ssize_t>& shape) {
    return object ? numbers<Scalar>(*object, name, shape).data() : nullptr;
}

/// Calls body.operator()<Scalar>() with the type of an array of floats.
template <class Body>
auto with_float(const py::array& array, const char* name, const Body& body) {
    if (py::isinstance<Array<float>>(array)) return body.template operator()<float>();
    if (py::isinstance<Array<double>>(array)) return body.template operator()<double>();
    fail_type(name, "float32 or float64", array);
}

/// Columns and slopes [rows, 2] that hard mining writes to or that are read; nothing else has them.
template <class Scalar>
HardTriplets<Scalar> hard_arg(const std::optional<py::array>& columns,
                              const std::optional<py::array>& slopes, py::ssize_t rows) {
    if (!columns || !slopes) return {nullptr, nullptr};
    auto places = numbers<int64_t>(*columns, "hard_columns", {rows, 2});
    auto values = numbers<Scalar>(*slopes, "hard_slopes", {rows, 2});
    return {places.mutable_data(), values.mutable_data()};
}

/// In place of products [rows, columns] come the derivatives, where those are asked for and the
/// mining is not hard.
py::tuple mine(const py::array& products, const py::array& row_labels,
               const py::array& column_labels, const std::optional<py::array>& row_squares,
               const std::optional<py::array>& column_squares, std::optional<int64_t> own_column,
               double margin, const std::string& mining, const std::string& penalty, bool graded,
               bool weighted, bool differentiate, const std::optional<py::array>& hard_columns,
               const std::optional<py::array>& hard_slopes) {
    if (row_squares.has_value() != column_squares.has_value())
        fail_value("column_squares", "to be given where row_squares is", "one of both");
    const TripletRule rule{mining_arg(mining), penalty_arg(penalty), graded, weighted, margin};
    return with_float(products, "products", [&]<class Scalar>() {
        PairsArg<Scalar> pairs(products, row_labels, column_labels);
        if (own_column && (*own_column < 0 || *own_column + pairs.rows > pairs.columns))
            fail_value("own_column", "a column for each row", std::to_string(*own_column));
        const auto hard = hard_arg<Scalar>(hard_columns, hard_slopes, pairs.rows);
        if (rule.mining == Mining::hard && hard.columns == nullptr)
            fail_value("hard_columns", "to be given, and hard_slopes, for hard mining", "None");
        const ProductBlock<Scalar> block{
            pairs.products.mutable_data(),
            pairs.rows,
            pairs.columns,
            optional_numbers<Scalar>(row_squares, "row_squares", {pairs.rows}),
            optional_numbers<Scalar>(column_squares, "column_squares", {pairs.columns}),
            own_column.value_or(-1)};
        TripletSums sums{};
        {
            const ReleasedGil released;
            sums = mine_triplets(block, pairs.row_bits(), pairs.column_bits(), rule, hard,
                                 differentiate, 0);
        }
        return py::make_tuple(sums.loss, sums.weight, sums.triplets, sums.counted);
    });
}

/// Adds to of_anchors [rows, bits] and of_candidates [columns, bits].
void hard_gradients(const py::array& anchors, const py::array& candidates,
                    const py::array& hard_columns, const py::array& hard_slopes, bool squared,
                    double scale, const py::array& of_anchors, const py::array& of_candidates) {
    if (anchors.ndim() != 2) fail_value("anchors", "[rows, bits]", describe(anchors));
    if (candidates.ndim() != 2) fail_value("candidates", "[columns, bits]", describe(candidates));
    with_float(anchors, "anchors", [&]<class Scalar>() {
        const py::ssize_t rows = anchors.shape(0), bits = anchors.shape(1);
        const py::ssize_t columns = candidates.shape(0);
        const auto a = numbers<Scalar>(anchors, "anchors", {rows, bits});
        const auto c = numbers<Scalar>(candidates, "candidates", {columns, bits});
        auto of_a = numbers<Scalar>(of_anchors, "of_anchors", {rows, bits});
        auto of_c = numbers<Scalar>(of_candidates, "of_candidates", {columns, bits});
        const auto hard = hard_arg<Scalar>(hard_columns, hard_slopes, rows);
        for (int64_t place = 0; place < 2 * rows; ++place)
            if (hard.columns[place] < 0 || hard.columns[place] >= columns)
                fail_value("hard_columns", "0.." + std::to_string(columns - 1),
                           std::to_string(hard.columns[place]));
        const RowPairs<Scalar> pairs{a.data(), c.data(), rows, columns, bits, squared};
        add_hard_gradients(pairs, hard, static_cast<Scalar>(scale), of_a.mutable_data(),
                           of_c.mutable_data());
    });
}

/// In place of products [rows, columns] come the derivatives by theta.
double likelihood(const py::array& products, const py::array& row_labels,
                  const py::array& column_labels, double scale) {
    return with_float(products, "products", [&]<class Scalar>() {
        PairsArg<Scalar> pairs(products, row_labels, column_labels);
        Scalar* values = pairs.products.mutable_data();
        const ReleasedGil released;
        return pairwise_likelihood(values, pairs.rows, pairs.columns, pairs.row_bits(),
                                   pairs.column_bits(), scale, 0);
    });
}

/// Outputs [rows, bits], and targets like them or none.
template <class Scalar>
struct OutputsArg {
    Array<Scalar> values;
    const Scalar* targets;
    py::ssize_t rows, bits;

    OutputsArg(const py::array& outputs, const std::optional<py::array>& wanted) {
        if (outputs.ndim() != 2 || outputs.shape(1) == 0)
            fail_value("values", "[rows, bits]", describe(outputs));
        rows = outputs.shape(0);
        bits = outputs.shape(1);
        values = numbers<Scalar>(outputs, "values", {rows, bits});
        targets = optional_numbers<Scalar>(wanted, "targets", {rows, bits});
    }
};

/// (relaxation, excess, quantisation, balance), and columns [bits]; tanh(beta u) to `relaxed` where
/// it is given.
py::tuple sign_terms(const py::array& values, const std::optional<py::array>& targets,
                     const std::string& relaxation, double margin, double beta,
                     const std::optional<py::array>& relaxed) {
    const RelaxedSignRule rule = relaxed_sign_arg(relaxation, margin, beta);
    return with_float(values, "values", [&]<class Scalar>() {
        const OutputsArg<Scalar> outputs(values, targets);
        const Scalar* data = outputs.values.data();
        Scalar* kept = nullptr;
        if (relaxed)
            kept =
                numbers<Scalar>(*relaxed, "relaxed", {outputs.rows, outputs.bits}).mutable_data();
        auto columns = new_array<double>({outputs.bits});
        double* of_columns = columns.mutable_data();
        RelaxedSignTerms terms{};
        {
            const ReleasedGil released;
            terms = relaxed_sign_terms(data, outputs.targets, outputs.rows, outputs.bits, rule, 0,
                                       kept, of_columns);
        }
        return py::make_tuple(
            py::make_tuple(terms.relaxation, terms.excess, terms.quantisation, terms.balance),
            columns);
    });
}

/// Writes to `slopes` [rows, bits], or adds to them.
void sign_slopes(const py::array& values, const std::optional<py::array>& targets,
                 const std::string& relaxation, double margin, double beta,
                 const std::array<double, 4>& of_terms, const py::array& columns, bool continued,
                 const py::array& slopes) {
    const RelaxedSignRule rule = relaxed_sign_arg(relaxation, margin, beta);
    with_float(values, "values", [&]<class Scalar>() {
        const OutputsArg<Scalar> outputs(values, targets);
        const Scalar* data = outputs.values.data();
        const auto sums = numbers<double>(columns, "columns", {outputs.bits});
        auto out = numbers<Scalar>(slopes, "slopes", {outputs.rows, outputs.bits});
        Scalar* written = out.mutable_data();
        if (written == data || written == outputs.targets)
            fail_value("slopes", "memory of their own", "that of another argument");
        const RelaxedSignTerms weights{of_terms[0], of_terms[1], of_terms[2], of_terms[3]};
        const ReleasedGil released;
        relaxed_sign_slopes(data, outputs.targets, outputs.rows, outputs.bits, rule, weights,
                            sums.data(), 0, continued, written);
    });
}

/// In place of products [bits, bits] of `rows` rows comes what is left of them.
double correlate_products(const py::array& products, int64_t rows) {
    if (products.ndim() != 2) fail_value("products", "[bits, bits]", describe(products));
    return with_float(products, "products", [&]<class Scalar>() {
        const py::ssize_t bits = products.shape(1);
        Scalar* values = numbers<Scalar>(products, "products", {bits, bits}).mutable_data();
        const ReleasedGil released;
        return correlate(values, rows, bits, 0);
    });
}

}  // namespace

void register_ops(py::module_& module) {
    module.def("mine_triplets", &mine, py::arg("products"), py::arg("row_labels"),
               py::arg("column_labels"), py::arg("row_squares"), py::arg("column_squares"),
               py::arg("own_column"), py::arg("margin"), py::arg("mining"), py::arg("penalty"),
               py::arg("graded"), py::arg("weighted"), py::arg("differentiate"),
               py::arg("hard_columns"), py::arg("hard_slopes"));
    module.def("hard_gradients", &hard_gradients, py::arg("anchors"), py::arg("candidates"),
               py::arg("hard_columns"), py::arg("hard_slopes"), py::arg("squared"),
               py::arg("scale"), py::arg("of_anchors"), py::arg("of_candidates"));
    module.def("pairwise_likelihood", &likelihood, py::arg("products"), py::arg("row_labels"),
               py::arg("column_labels"), py::arg("scale"));
    module.def("relaxed_sign_terms", &sign_terms, py::arg("values"), py::arg("targets"),
               py::arg("relaxation"), py::arg("margin"), py::arg("beta"), py::arg("relaxed"));
    module.def("relaxed_sign_slopes", &sign_slopes, py::arg("values"), py::arg("targets"),
               py::arg("relaxation"), py::arg("margin"), py::arg("beta"), py::arg("of_terms"),
               py::arg("columns"), py::arg("continued"), py::arg("slopes"));
    module.def("correlate", &correlate_products, py::arg("products"), py::arg("rows"));
}

}  // namespace hashcore::python
