// Training ops on memory that hashcore.ops has checked and shaped: here it is only made sure that
// the engine stays inside it.
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>

#include "array_args.h"
#include "bindings.h"
#include "hashcore/ops.h"
#include "long_call.h"

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

/// Labels of rows, a bit a class, in whole words.
struct LabelsArg {
    Array<uint64_t> array;
    LabelBits bits;

    LabelsArg(py::handle object, const char* name, py::ssize_t rows, py::ssize_t words)
        : array(numbers<uint64_t>(object, name, {rows, words})), bits{array.data(), words} {}
};

py::ssize_t words_of(const py::array& labels) {
    return labels.ndim() == 2 ? labels.shape(1) : 0;
}

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

Mining mining_arg(const std::string& name) {
    if (name == "all") return Mining::all;
    if (name == "hard") return Mining::hard;
    if (name == "semi_hard") return Mining::semi_hard;
    fail_value("mining", "'all', 'hard' or 'semi_hard'", name);
}

Penalty penalty_arg(const std::string& name) {
    if (name == "hinge") return Penalty::hinge;
    if (name == "logistic") return Penalty::logistic;
    fail_value("penalty", "'hinge' or 'logistic'", name);
}

/// In place of products [rows, columns] come the derivatives, where those are asked for.
py::tuple mine(py::array products, const py::array& row_labels, const py::array& column_labels,
               const std::optional<py::array>& row_squares,
               const std::optional<py::array>& column_squares, std::optional<int64_t> own_column,
               double margin, const std::string& mining, const std::string& penalty, bool graded,
               bool weighted, bool differentiate) {
    if (row_squares.has_value() != column_squares.has_value())
        fail_value("column_squares", "to be given where row_squares is", "one of both");
    const TripletRule rule{mining_arg(mining), penalty_arg(penalty), graded, weighted, margin};
    return with_float(products, "products", [&]<class Scalar>() {
        if (products.ndim() != 2) fail_value("products", "[rows, columns]", describe(products));
        const py::ssize_t rows = products.shape(0);
        const py::ssize_t columns = products.shape(1);
        auto values = numbers<Scalar>(products, "products", {rows, columns});
        const LabelsArg anchors(row_labels, "row_labels", rows, words_of(row_labels));
        const LabelsArg candidates(column_labels, "column_labels", columns, words_of(row_labels));
        const ProductBlock<Scalar> block{
            values.mutable_data(),
            rows,
            columns,
            optional_numbers<Scalar>(row_squares, "row_squares", {rows}),
            optional_numbers<Scalar>(column_squares, "column_squares", {columns}),
            own_column.value_or(-1)};
        if (own_column && (*own_column < 0 || *own_column + rows > columns))
            fail_value("own_column", "a column for each row", std::to_string(*own_column));
        TripletSums sums{};
        {
            const ReleasedGil released;
            sums = mine_triplets(block, anchors.bits, candidates.bits, rule, differentiate, 0);
        }
        return py::make_tuple(sums.loss, sums.weight, sums.triplets, sums.counted);
    });
}

/// In place of products [rows, columns] come the derivatives by theta.
double likelihood(py::array products, const py::array& row_labels, const py::array& column_labels,
                  double scale) {
    return with_float(products, "products", [&]<class Scalar>() {
        if (products.ndim() != 2) fail_value("products", "[rows, columns]", describe(products));
        const py::ssize_t rows = products.shape(0);
        const py::ssize_t columns = products.shape(1);
        auto values = numbers<Scalar>(products, "products", {rows, columns});
        const LabelsArg first(row_labels, "row_labels", rows, words_of(row_labels));
        const LabelsArg second(column_labels, "column_labels", columns, words_of(row_labels));
        Scalar* data = values.mutable_data();
        const ReleasedGil released;
        return pairwise_likelihood(data, rows, columns, first.bits, second.bits, scale, 0);
    });
}

RelaxedSignRule rule_of(const std::string& relaxation, double margin, double beta) {
    const auto named = [&] {
        if (relaxation == "power_1") return Relaxation::power_1;
        if (relaxation == "power_2") return Relaxation::power_2;
        if (relaxation == "power_3") return Relaxation::power_3;
        if (relaxation == "polarisation") return Relaxation::polarisation;
        fail_value("relaxation", "'power_1', 'power_2', 'power_3' or 'polarisation'", relaxation);
    };
    return {named(), margin, beta};
}

/// (relaxation, excess, quantisation) and columns [bits].
py::tuple sign_sums(const py::array& values, const std::optional<py::array>& targets,
                    const std::string& relaxation, double margin, double beta) {
    const RelaxedSignRule rule = rule_of(relaxation, margin, beta);
    return with_float(values, "values", [&]<class Scalar>() {
        if (values.ndim() != 2 || values.shape(1) == 0)
            fail_value("values", "[rows, bits]", describe(values));
        const py::ssize_t rows = values.shape(0);
        const py::ssize_t bits = values.shape(1);
        const auto own = numbers<Scalar>(values, "values", {rows, bits});
        const Scalar* data = own.data();
        const Scalar* wanted = optional_numbers<Scalar>(targets, "targets", {rows, bits});
        auto columns = new_array<double>({bits});
        RelaxedSignSums sums{0, 0, 0, columns.mutable_data()};
        {
            const ReleasedGil released;
            relaxed_sign_sums(data, wanted, rows, bits, rule, 0, sums);
        }
        return py::make_tuple(sums.relaxation, sums.excess, sums.quantisation, columns);
    });
}

/// Writes to `slopes` [rows, bits].
void sign_slopes(const py::array& values, const std::optional<py::array>& targets,
                 const std::string& relaxation, double margin, double beta, double of_relaxation,
                 double of_excess, double of_quantisation, const py::array& of_columns,
                 py::array slopes) {
    const RelaxedSignRule rule = rule_of(relaxation, margin, beta);
    with_float(values, "values", [&]<class Scalar>() {
        if (values.ndim() != 2 || values.shape(1) == 0)
            fail_value("values", "[rows, bits]", describe(values));
        const py::ssize_t rows = values.shape(0);
        const py::ssize_t bits = values.shape(1);
        const auto own = numbers<Scalar>(values, "values", {rows, bits});
        const Scalar* data = own.data();
        const Scalar* wanted = optional_numbers<Scalar>(targets, "targets", {rows, bits});
        const auto columns = numbers<double>(of_columns, "of_columns", {bits});
        auto out = numbers<Scalar>(slopes, "slopes", {rows, bits});
        Scalar* written = out.mutable_data();
        const RelaxedSignWeights weights{of_relaxation, of_excess, of_quantisation, columns.data()};
        const ReleasedGil released;
        relaxed_sign_slopes(data, wanted, rows, bits, rule, weights, 0, written);
    });
}

}  // namespace

void register_ops(py::module_& module) {
    module.def("mine_triplets", &mine, py::arg("products"), py::arg("row_labels"),
               py::arg("column_labels"), py::arg("row_squares"), py::arg("column_squares"),
               py::arg("own_column"), py::arg("margin"), py::arg("mining"), py::arg("penalty"),
               py::arg("graded"), py::arg("weighted"), py::arg("differentiate"));
    module.def("pairwise_likelihood", &likelihood, py::arg("products"), py::arg("row_labels"),
               py::arg("column_labels"), py::arg("scale"));
    module.def("relaxed_sign_sums", &sign_sums, py::arg("values"), py::arg("targets"),
               py::arg("relaxation"), py::arg("margin"), py::arg("beta"));
    module.def("relaxed_sign_slopes", &sign_slopes, py::arg("values"), py::arg("targets"),
               py::arg("relaxation"), py::arg("margin"), py::arg("beta"), py::arg("of_relaxation"),
               py::arg("of_excess"), py::arg("of_quantisation"), py::arg("of_columns"),
               py::arg("slopes"));
}

}  // namespace hashcore::python
