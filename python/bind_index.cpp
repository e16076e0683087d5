#include <system_error>

#include "array_args.h"
#include "bindings.h"
#include "hashcore/index.h"
#include "long_call.h"
#include "results.h"

namespace hashcore::python {
namespace {

/// Raises OSError, or the subclass that fits, with errno and the path.
[[noreturn]] void raise_os_error(const std::system_error& error, const std::string& path) {
    const auto arguments = py::make_tuple(error.code().value(), error.code().message(), path);
    PyErr_SetObject(PyExc_OSError, arguments.ptr());
    throw py::error_already_set();
}

py::array_t<int64_t> add(Index& index, py::handle codes, py::handle ids,
                         const py::object& progress) {
    const CodesArg new_codes = codes_arg(codes, "codes", "n", index.bits());
    const int64_t count = new_codes.view.count;
    py::array_t<int64_t> given;
    if (!ids.is_none()) given = ids_arg(ids, "ids", count);
    auto out = new_array<int64_t>({count});
    const int64_t* given_ids = ids.is_none() ? nullptr : given.data();
    int64_t* out_ids = out.mutable_data();
    run_long_call(progress, [&](Monitor* monitor) {
        index.add(new_codes.view, given_ids, out_ids, monitor);
    });
    return out;
}

py::tuple search(const Index& index, py::handle queries, py::handle k, py::handle max_distance,
                 py::handle threads, const py::object& progress) {
    const CodesArg codes = codes_arg(queries, "queries", "Q", index.bits());
    const int64_t kept = int_arg(k, "k", 0);
    const auto bound = optional_int_arg(max_distance, "max_distance", 0);
    const int thread_count = threads_arg(threads);
    return knn_result(codes.view.count, kept, progress, [&](Monitor* monitor, KnnOutput out) {
        index.search(codes.view, kept, bound, {thread_count, monitor}, out);
    });
}

py::tuple range_search(const Index& index, py::handle queries, py::handle radius,
                       py::handle max_results, py::handle threads) {
    const CodesArg codes = codes_arg(queries, "queries", "Q", index.bits());
    const int64_t inclusive = int_arg(radius, "radius", 0);
    const auto most = optional_int_arg(max_results, "max_results", 0);
    const int thread_count = threads_arg(threads);
    return range_result([&](Monitor* monitor) {
        return index.range_search(codes.view, inclusive, most, {thread_count, monitor});
    });
}

py::array_t<uint8_t> get(const Index& index, py::handle ids) {
    const auto wanted = ids_arg(ids, "ids");
    auto out = new_array<uint8_t>({wanted.shape(0), bytes_per_code(index.bits())});
    try {
        index.get(wanted.data(), wanted.shape(0), out.mutable_data());
    } catch (const std::out_of_range& error) {
        throw py::key_error(error.what());
    }
    return out;
}

py::array_t<int64_t> ids(const Index& index) {
    auto out = new_array<int64_t>({index.size()});
    index.copy_ids(out.mutable_data());
    return out;
}

void save(const Index& index, const std::string& path, const py::object& progress) {
    try {
        run_long_call(progress, [&](Monitor* monitor) { index.save(path, monitor); });
    } catch (const std::system_error& error) {
        raise_os_error(error, path);
    }
}

std::unique_ptr<Index> load(const std::string& path, bool mmap, bool verify, py::handle threads,
                            const py::object& progress) {
    const int thread_count = threads_arg(threads);
    std::unique_ptr<Index> index;
    try {
        run_long_call(progress, [&](Monitor* monitor) {
            index = load_index(path, mmap, verify, thread_count, monitor);
        });
    } catch (const std::system_error& error) {
        raise_os_error(error, path);
    }
    return index;
}

}  // namespace

void register_index(py::module_& module) {
    py::class_<Index>(module, "Index")
        .def(py::init([](py::handle bits, const std::string& kind, py::handle threads) {
                 return make_index(int_arg(bits, "bits", 1, max_bits), kind, threads_arg(threads));
             }),
             py::arg("bits"), py::arg("kind"), py::arg("threads"))
        .def_static("load", &load, py::arg("path"), py::arg("mmap"), py::arg("verify"),
                    py::arg("threads"), py::arg("progress"))
        .def_property_readonly("kind", &Index::kind)
        .def_property_readonly("bits", &Index::bits)
        .def_property_readonly("nbytes", &Index::bytes_in_memory)
        .def_property_readonly("mapped", &Index::mapped)
        .def_property_readonly("ids", &ids)
        .def("__len__", &Index::size)
        .def(
            "__contains__", [](const Index& index, int64_t id) { return index.contains(id); },
            py::arg("id"))
        .def("add", &add, py::arg("codes"), py::arg("ids"), py::arg("progress"))
        .def("search", &search, py::arg("queries"), py::arg("k"), py::arg("max_distance"),
             py::arg("threads"), py::arg("progress"))
        .def("range_search", &range_search, py::arg("queries"), py::arg("radius"),
             py::arg("max_results"), py::arg("threads"))
        .def("get", &get, py::arg("ids"))
        .def("save", &save, py::arg("path"), py::arg("progress"));
}

}  // namespace hashcore::python
