#include <pybind11/stl.h>

#include <memory>
#include <system_error>
#include <utility>
#include <variant>

#include "array_args.h"
#include "bindings.h"
#include "hashcore/index.h"
#include "long_call.h"
#include "results.h"

namespace hashcore::python {
namespace {

/// Raises OSError, or the subclass that fits, with errno and the path.
[[noreturn]] void raise_os_error(const std::system_error& error, const py::bytes& path) {
    const auto name =
        py::reinterpret_steal<py::object>(PyUnicode_DecodeFSDefault(std::string(path).c_str()));
    const auto arguments = py::make_tuple(error.code().value(), error.code().message(), name);
    // Made here: of bare arguments the interpreter makes it sooner or later, as the subclass, and
    // inside an except block too soon for pybind11.
    const auto made =
        py::reinterpret_steal<py::object>(PyObject_CallObject(PyExc_OSError, arguments.ptr()));
    if (made) PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(made.ptr())), made.ptr());
    throw py::error_already_set();
}

std::string string_arg(py::handle object, const char* name) {
    if (!py::isinstance<py::str>(object))
        throw py::type_error(std::string(name) + ": expected a string; got " + describe(object) +
                             ".");
    return py::cast<std::string>(object);
}

/// (layout, tables, radius, memory_budget), each of which may be None.
MihParams mih_params_arg(py::handle object) {
    const auto given = py::cast<py::tuple>(object);
    MihParams params;
    if (!given[0].is_none()) {
        const std::string layout = string_arg(given[0], "layout");
        if (layout != "fast" && layout != "compact")
            throw py::value_error("layout: expected 'fast' or 'compact'; got '" + layout + "'");
        if (layout == "compact") params.layout = MihParams::Layout::compact;
    }
    params.tables = optional_int_arg(given[1], "tables", 1);
    params.radius = optional_int_arg(given[2], "radius", 0);
    params.memory_budget = optional_int_arg(given[3], "memory_budget", 1);
    return params;
}

// Everything that takes the index's lock releases the GIL first: a change under way needs the GIL
// to report, so waiting for its lock with the GIL held would never end.

int64_t size_of(const Index& index) {
    const ReleasedGil released;
    return index.size();
}

bool contains(const Index& index, py::handle object) {
    if (PyIndex_Check(object.ptr()) == 0)
        throw py::type_error("id: expected an integer; got " + describe(object) + ".");
    const auto id = py::reinterpret_steal<py::int_>(PyNumber_Index(object.ptr()));
    int overflow = 0;
    const long long value = PyLong_AsLongLongAndOverflow(id.ptr(), &overflow);
    const ReleasedGil released;
    return overflow == 0 && index.contains(value);
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

int64_t remove(Index& index, py::handle ids) {
    const auto given = ids_arg(ids, "ids");
    int64_t removed = 0;
    run_long_call(py::none(), [&](Monitor* monitor) {
        removed = index.remove(given.data(), given.shape(0), monitor);
    });
    return removed;
}

void compact(Index& index, const py::object& progress) {
    run_long_call(progress, [&](Monitor* monitor) { index.compact(monitor); });
}

py::dict stats(const Index& index) {
    Stats found;
    {
        const ReleasedGil released;
        found = index.stats();
    }
    py::dict result;
    for (const auto& [name, value] : found)
        std::visit([&, &key = name](const auto& fact) { result[py::str(key)] = py::cast(fact); },
                   value);
    return result;
}

py::tuple search(const Index& index, py::handle queries, py::handle k, py::handle filter,
                 py::handle max_distance, py::handle threads, const py::object& progress) {
    const CodesArg codes = codes_arg(queries, "queries", "Q", index.bits());
    const int64_t kept = int_arg(k, "k", 0);
    const auto bound = optional_int_arg(max_distance, "max_distance", 0);
    const FilterArg allowed(filter);
    const int thread_count = threads_arg(threads);
    return knn_result(codes.view.count, kept, progress, [&](Monitor* monitor, KnnOutput out) {
        index.search(codes.view, kept, bound, {thread_count, monitor, allowed.get()}, out);
    });
}

py::tuple range_search(const Index& index, py::handle queries, py::handle radius, py::handle filter,
                       py::handle max_results, py::handle threads, const py::object& progress) {
    const CodesArg codes = codes_arg(queries, "queries", "Q", index.bits());
    const int64_t inclusive = int_arg(radius, "radius", 0);
    const auto most = optional_int_arg(max_results, "max_results", 0);
    const FilterArg allowed(filter);
    const int thread_count = threads_arg(threads);
    return range_result(progress, [&](Monitor* monitor) {
        return index.range_search(codes.view, inclusive, most,
                                  {thread_count, monitor, allowed.get()});
    });
}

py::array_t<uint8_t> get(const Index& index, py::handle ids) {
    const auto wanted = ids_arg(ids, "ids");
    auto out = new_array<uint8_t>({wanted.shape(0), bytes_per_code(index.bits())});
    uint8_t* codes = out.mutable_data();
    try {
        const ReleasedGil released;
        index.get(wanted.data(), wanted.shape(0), codes);
    } catch (const std::out_of_range& error) {
        throw py::key_error(error.what());
    }
    return out;
}

py::array_t<int64_t> ids(const Index& index) {
    std::vector<int64_t> all;
    {
        const ReleasedGil released;
        all = index.all_ids();
    }
    return adopt(std::move(all));
}

void save(const Index& index, const py::bytes& path, const py::object& progress) {
    const std::string name = path;
    try {
        run_long_call(progress, [&](Monitor* monitor) { index.save(name, monitor); });
    } catch (const std::system_error& error) {
        raise_os_error(error, path);
    }
}

std::unique_ptr<Index> load(const py::bytes& path, bool mmap, bool verify, py::handle threads,
                            const py::object& progress) {
    const int thread_count = threads_arg(threads);
    const std::string name = path;
    std::unique_ptr<Index> index;
    try {
        run_long_call(progress, [&](Monitor* monitor) {
            index = load_index(name, mmap, verify, thread_count, monitor);
        });
    } catch (const std::system_error& error) {
        raise_os_error(error, path);
    }
    return index;
}

void build(const py::bytes& path, py::handle codes, py::handle ids, py::handle bits,
           py::handle kind, py::handle params, py::handle memory, py::handle threads,
           const py::object& progress) {
    const CodesArg rows = codes_arg(codes, "codes", "n", int_arg(bits, "bits", 1, max_bits));
    py::array_t<int64_t> given;
    if (!ids.is_none()) given = ids_arg(ids, "ids", rows.view.count);
    const int64_t* given_ids = ids.is_none() ? nullptr : given.data();
    const std::string kind_name = string_arg(kind, "kind");
    const MihParams mih = mih_params_arg(params);
    const auto budget = optional_int_arg(memory, "memory_budget", 1);
    const int thread_count = threads_arg(threads);
    const std::string name = path;
    try {
        run_long_call(progress, [&](Monitor* monitor) {
            build_index_file(name, kind_name, rows.view, given_ids, mih, budget, thread_count,
                             monitor);
        });
    } catch (const std::system_error& error) {
        raise_os_error(error, path);
    }
}

/// Keeps `object` alive until the last owner is gone, on whichever thread that is.
std::shared_ptr<const void> keep_alive(const py::object& object) {
    return {object.inc_ref().ptr(), [](PyObject* kept) {
                PyGILState_STATE gil{};
                take_gil_or_sleep_forever([&] { gil = PyGILState_Ensure(); });
                Py_DECREF(kept);
                PyGILState_Release(gil);
            }};
}

std::unique_ptr<Index> borrow(py::handle codes, py::handle ids, py::handle bits,
                              py::handle threads) {
    const CodesArg rows = codes_arg(codes, "codes", "n", int_arg(bits, "bits", 1, max_bits));
    py::array_t<int64_t> given;
    if (!ids.is_none()) given = ids_arg(ids, "ids", rows.view.count);
    const int64_t* given_ids = ids.is_none() ? nullptr : given.data();
    const int thread_count = threads_arg(threads);
    auto owner = keep_alive(rows.array);
    const ReleasedGil released;
    return borrow_codes(rows.view, given_ids, std::move(owner), thread_count);
}

}  // namespace

void register_index(py::module_& module) {
    const auto without_gil = py::call_guard<ReleasedGil>();
    py::class_<Index>(module, "Index")
        .def(py::init([](py::handle bits, py::handle kind, py::handle params, py::handle threads) {
                 return make_index(int_arg(bits, "bits", 1, max_bits), string_arg(kind, "kind"),
                                   mih_params_arg(params), threads_arg(threads));
             }),
             py::arg("bits"), py::arg("kind"), py::arg("params"), py::arg("threads"))
        .def_static("build", &build, py::arg("path"), py::arg("codes"), py::arg("ids"),
                    py::arg("bits"), py::arg("kind"), py::arg("params"), py::arg("memory"),
                    py::arg("threads"), py::arg("progress"))
        .def_static("load", &load, py::arg("path"), py::arg("mmap"), py::arg("verify"),
                    py::arg("threads"), py::arg("progress"))
        .def_static("borrow", &borrow, py::arg("codes"), py::arg("ids"), py::arg("bits"),
                    py::arg("threads"))
        .def_property_readonly("kind", py::cpp_function(&Index::kind, without_gil))
        .def_property_readonly("bits", &Index::bits)
        .def_property_readonly("nbytes", py::cpp_function(&Index::bytes_in_memory, without_gil))
        .def_property_readonly("mapped", py::cpp_function(&Index::mapped, without_gil))
        .def_property_readonly("ids", &ids)
        .def("__len__", &size_of)
        .def("__contains__", &contains, py::arg("id"))
        .def("add", &add, py::arg("codes"), py::arg("ids"), py::arg("progress"))
        .def("remove", &remove, py::arg("ids"))
        .def("compact", &compact, py::arg("progress"))
        .def("stats", &stats)
        .def("search", &search, py::arg("queries"), py::arg("k"), py::arg("filter"),
             py::arg("max_distance"), py::arg("threads"), py::arg("progress"))
        .def("range_search", &range_search, py::arg("queries"), py::arg("radius"),
             py::arg("filter"), py::arg("max_results"), py::arg("threads"), py::arg("progress"))
        .def("get", &get, py::arg("ids"))
        .def("save", &save, py::arg("path"), py::arg("progress"));
}

}  // namespace hashcore::python
