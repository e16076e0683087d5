#pragma once
#include "array_args.h"
#include "hashcore/search.h"
#include "long_call.h"

namespace hashcore::python {

/// (distances [Q, k], ids [Q, k], counts [Q]) from search(monitor, out).
template <class Search>
py::tuple knn_result(int64_t queries, int64_t k, const py::object& progress, const Search& search) {
    auto distances = new_array<int32_t>({queries, k});
    auto ids = new_array<int64_t>({queries, k});
    auto counts = new_array<int64_t>({queries});
    const KnnOutput out{distances.mutable_data(), ids.mutable_data(), counts.mutable_data()};
    run_long_call(progress, [&](Monitor* monitor) { search(monitor, out); });
    return py::make_tuple(distances, ids, counts);
}

/// (lims [Q + 1], distances, ids) from search(monitor).
template <class Search>
py::tuple range_result(const py::object& progress, const Search& search) {
    RangeOutput out;
    run_long_call(progress, [&](Monitor* monitor) { out = search(monitor); });
    return py::make_tuple(adopt(std::move(out.lims)), adopt(std::move(out.distances)),
                          adopt(std::move(out.ids)));
}

}  // namespace hashcore::python
