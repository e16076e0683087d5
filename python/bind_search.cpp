#include "array_args.h"
#include "bindings.h"
#include "hashcore/search.h"
#include "long_call.h"
#include "results.h"

namespace hashcore::python {
namespace {

struct Pair {
    CodesArg first, second;
};

/// Two code arrays of one width; the width is the first one's.
Pair code_pair(py::handle first, const char* first_name, const char* first_rows, py::handle second,
               const char* second_name, const char* second_rows) {
    CodesArg a = database_arg(first, first_name, first_rows);
    CodesArg b = codes_arg(second, second_name, second_rows, a.view.bits);
    return {std::move(a), std::move(b)};
}

py::tuple knn_arrays(py::handle database, py::handle queries, py::handle k, py::handle filter,
                     py::handle max_distance, py::handle threads) {
    const Pair pair = code_pair(database, "database", "N", queries, "queries", "Q");
    const int64_t kept = int_arg(k, "k", 0);
    const auto bound = optional_int_arg(max_distance, "max_distance", 0);
    const FilterArg allowed(filter);
    const int thread_count = threads_arg(threads);
    return knn_result(pair.second.view.count, kept, py::none(),
                      [&](Monitor* monitor, KnnOutput out) {
                          knn(pair.first.view, pair.second.view, kept, bound,
                              {thread_count, monitor, allowed.get()}, out);
                      });
}

py::tuple range_arrays(py::handle database, py::handle queries, py::handle radius,
                       py::handle filter, py::handle max_results, py::handle threads) {
    const Pair pair = code_pair(database, "database", "N", queries, "queries", "Q");
    const int64_t inclusive = int_arg(radius, "radius", 0);
    const auto most = optional_int_arg(max_results, "max_results", 0);
    const FilterArg allowed(filter);
    const int thread_count = threads_arg(threads);
    return range_result(py::none(), [&](Monitor* monitor) {
        return range_search(pair.first.view, pair.second.view, inclusive, most,
                            {thread_count, monitor, allowed.get()});
    });
}

py::array_t<int32_t> pairwise_arrays(py::handle a, py::handle b, py::handle threads) {
    const Pair pair = code_pair(a, "a", "na", b, "b", "nb");
    const int thread_count = threads_arg(threads);
    auto out = new_array<int32_t>({pair.first.view.count, pair.second.view.count});
    int32_t* distances = out.mutable_data();
    run_long_call(py::none(), [&](Monitor* monitor) {
        pairwise(pair.first.view, pair.second.view, {thread_count, monitor}, distances);
    });
    return out;
}

py::array_t<int64_t> histogram_array(py::handle database, py::handle queries, py::handle filter,
                                     py::handle threads) {
    const Pair pair = code_pair(database, "database", "N", queries, "queries", "Q");
    const FilterArg allowed(filter);
    const int thread_count = threads_arg(threads);
    auto out = new_array<int64_t>({pair.second.view.count, pair.second.view.bits + 1});
    int64_t* counts = out.mutable_data();
    run_long_call(py::none(), [&](Monitor* monitor) {
        distance_histogram(pair.first.view, pair.second.view,
                           {thread_count, monitor, allowed.get()}, counts);
    });
    return out;
}

}  // namespace

void register_search(py::module_& module) {
    module.def("knn", &knn_arrays, py::arg("database"), py::arg("queries"), py::arg("k"),
               py::arg("filter"), py::arg("max_distance"), py::arg("threads"));
    module.def("range_search", &range_arrays, py::arg("database"), py::arg("queries"),
               py::arg("radius"), py::arg("filter"), py::arg("max_results"), py::arg("threads"));
    module.def("pairwise", &pairwise_arrays, py::arg("a"), py::arg("b"), py::arg("threads"));
    module.def("distance_histogram", &histogram_array, py::arg("database"), py::arg("queries"),
               py::arg("filter"), py::arg("threads"));
}

}  // namespace hashcore::python
