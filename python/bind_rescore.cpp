#include "array_args.h"
#include "bindings.h"
#include "hashcore/rescore.h"
#include "long_call.h"

namespace hashcore::python {
namespace {

constexpr const char* float_hint = " Other floats: use .astype(numpy.float32).";

Metric metric_arg(py::handle object) {
    const std::string name = py::str(object);
    if (name == "ip") return Metric::ip;
    if (name == "cosine") return Metric::cosine;
    if (name == "l2") return Metric::l2;
    if (name == "asymmetric") return Metric::asymmetric;
    fail_value("metric", "'ip', 'cosine', 'l2' or 'asymmetric'", py::repr(object));
}

/// Row numbers [Q, S], or [S] beside a single query.
py::array shortlist_arg(py::handle object, const MatrixArg& queries) {
    const auto dims = static_cast<int>(queries.array.ndim());
    const std::string expected =
        "int64 ids [" + (dims == 1 ? "" : std::to_string(queries.view.count) + ", ") + "S]";
    py::array ids = contiguous_array(object, "result", expected, 1, 2);
    if (!py::isinstance<py::array_t<int64_t>>(ids)) fail_type("result", expected, object);
    if (ids.ndim() != dims || (dims == 2 && ids.shape(0) != queries.view.count))
        fail_value("result", expected + ", the shape that searching with these queries gives",
                   describe(ids));
    return ids;
}

MatrixArg query_arg(py::handle object, Metric metric) {
    if (metric == Metric::asymmetric)
        return matrix_arg(object, "queries", "Q", 1, {Element::f32}, std::nullopt, float_hint);
    return matrix_arg(object, "queries", "Q", 1, {Element::f32, Element::i8}, std::nullopt,
                      float_hint);
}

MatrixArg vectors_arg(py::handle object, const MatrixArg& queries, Metric metric) {
    const int64_t dims = queries.view.dims;
    if (metric == Metric::asymmetric)
        return matrix_arg(object, "vectors", "N", 2, {Element::bit}, dims, code_hint);
    const std::string hint = " Packed codes: use metric='asymmetric'.";
    if (queries.view.element == Element::i8)
        return matrix_arg(object, "vectors", "N", 2, {Element::i8}, dims,
                          " Queries of another dtype than the vectors must be float32.");
    return matrix_arg(object, "vectors", "N", 2, {Element::f32, Element::f16, Element::i8}, dims,
                      hint + float_hint);
}

py::tuple rescore_arrays(py::handle query_object, py::handle ids_object, py::handle vector_object,
                         py::handle k_object, py::handle metric_object, py::handle threads_object) {
    const Metric metric = metric_arg(metric_object);
    const MatrixArg queries = query_arg(query_object, metric);
    const MatrixArg vectors = vectors_arg(vector_object, queries, metric);
    const py::array ids = shortlist_arg(ids_object, queries);
    const int64_t k = int_arg(k_object, "k", 0);
    const int threads = threads_arg(threads_object);
    std::vector<py::ssize_t> shape{k};
    if (ids.ndim() == 2) shape.insert(shape.begin(), queries.view.count);
    auto scores = new_array<float>(shape);
    auto kept = new_array<int64_t>(shape);
    const RescoreOutput out{scores.mutable_data(), kept.mutable_data()};
    const ShortlistView shortlist{static_cast<const int64_t*>(ids.data()),
                                  ids.shape(ids.ndim() - 1)};
    run_long_call(py::none(), [&](Monitor* monitor) {
        rescore(queries.view, shortlist, vectors.view, k, metric, threads, monitor, out);
    });
    return py::make_tuple(scores, kept);
}

}  // namespace

void register_rescore(py::module_& module) {
    module.def("rescore", &rescore_arrays, py::arg("queries"), py::arg("ids"), py::arg("vectors"),
               py::arg("k"), py::arg("metric"), py::arg("threads"));
}

}  // namespace hashcore::python
