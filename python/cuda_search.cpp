// Searches on a GPU. What Python hands over has been checked by hashcore._gpu_search.
#include "cuda_search.h"

#include <pybind11/stl.h>

#include <optional>
#include <string>

#include "cuda/knn.h"
#include "long_call.h"

namespace py = pybind11;

namespace hashcore::python {
namespace {

using Address = uintptr_t;  // 0: null
using WithoutGil = py::call_guard<ReleasedGil>;

template <class T>
T* at(Address address) {
    return reinterpret_cast<T*>(address);
}

void register_memory(py::module_& module) {
    using cuda::DeviceMemory;
    py::class_<DeviceMemory>(module, "DeviceMemory", py::module_local())
        .def(py::init([](int64_t bytes, const std::string& what, const cuda::Stream& stream) {
                 return DeviceMemory(bytes, what.c_str(), stream);
             }),
             py::arg("bytes"), py::arg("what"), py::arg("stream"))
        .def_property_readonly("address",
                               [](const DeviceMemory& memory) {
                                   return reinterpret_cast<Address>(memory.as<const void>());
                               })
        .def(
            "read_from",
            [](const DeviceMemory& memory, Address from, int64_t bytes) {
                cuda::copy_to_device(memory.as<void>(), at<const void>(from), bytes,
                                     memory.stream());
            },
            py::arg("host"), py::arg("bytes"), WithoutGil())
        .def("read_on", &DeviceMemory::read_on, py::arg("stream"))
        .def(
            "write_to",
            [](const DeviceMemory& memory, Address to, int64_t bytes) {
                cuda::copy_to_host(at<void>(to), memory.as<const void>(), bytes, memory.stream());
            },
            py::arg("host"), py::arg("bytes"), WithoutGil());
    module.def("follow", &cuda::follow, py::arg("stream"), py::arg("other"));
    module.def("wait", &cuda::wait_for, py::arg("stream"), WithoutGil());
    module.def(
        "clear",
        [](Address memory, int64_t bytes, const cuda::Stream& stream) {
            cuda::clear(at<void>(memory), bytes, stream);
        },
        py::arg("memory"), py::arg("bytes"), py::arg("stream"));
    module.def(
        "copy_to_device",
        [](Address memory, Address from, int64_t bytes, const cuda::Stream& stream) {
            cuda::copy_to_device(at<void>(memory), at<const void>(from), bytes, stream);
        },
        py::arg("memory"), py::arg("host"), py::arg("bytes"), py::arg("stream"));
    module.def("free_memory", &cuda::free_memory, py::arg("device"));
}

void register_codes(py::module_& module) {
    using cuda::Tiles;
    using cuda::Upload;
    py::class_<Tiles>(module, "Tiles", py::module_local())
        .def(py::init<int64_t, int64_t, const cuda::Stream&>(), py::arg("bits"), py::arg("room"),
             py::arg("stream"))
        .def("restart", &Tiles::restart, py::arg("first_position"), py::arg("codes"))
        .def(
            "put",
            [](Tiles& tiles, int64_t first, Address rows, int64_t count,
               const cuda::Stream& stream) {
                tiles.put(first, at<const uint8_t>(rows), count, stream);
            },
            py::arg("first"), py::arg("rows"), py::arg("count"), py::arg("stream"), WithoutGil())
        .def("take", &Tiles::take, py::arg("tiles"), py::arg("count"), py::arg("stream"),
             WithoutGil())
        .def_property_readonly("first_position",
                               [](const Tiles& tiles) { return tiles.view().first_position; })
        .def_property_readonly("codes", [](const Tiles& tiles) { return tiles.view().codes; })
        .def_property_readonly("bytes", &Tiles::bytes)
        .def_static(
            "bytes_for",
            [](int64_t bits, int64_t codes) {
                return cuda::tiles_for(codes) * cuda::tile_bytes(bits);
            },
            py::arg("bits"), py::arg("codes"));
    py::class_<Upload>(module, "Upload", py::module_local())
        .def(py::init<int64_t, int>(), py::arg("stage_bytes"), py::arg("device"))
        .def(
            "put",
            [](Upload& upload, Tiles& tiles, int64_t first, Address rows, int64_t count) {
                upload.put(tiles, first, at<const uint8_t>(rows), count);
            },
            py::arg("tiles"), py::arg("first"), py::arg("rows"), py::arg("count"), WithoutGil());
    py::class_<cuda::QueryRows>(module, "QueryRows", py::module_local())
        .def(py::init([](Address rows, int64_t count, int64_t bits, bool on_host,
                         const cuda::Stream& stream) {
                 return std::make_unique<cuda::QueryRows>(at<const uint8_t>(rows), count, bits,
                                                          on_host, stream);
             }),
             py::arg("rows"), py::arg("count"), py::arg("bits"), py::arg("on_host"),
             py::arg("stream"), WithoutGil());
    module.def(
        "has_pad_bits",
        [](Address rows, int64_t count, int64_t bits, const cuda::Stream& stream) {
            return cuda::has_pad_bits(at<const uint8_t>(rows), count, bits, stream);
        },
        py::arg("rows"), py::arg("count"), py::arg("bits"), py::arg("stream"), WithoutGil());
}

void register_knn(py::module_& module) {
    using cuda::Knn;
    py::class_<Knn>(module, "Knn", py::module_local())
        .def(py::init<const cuda::QueryRows&, int64_t, int64_t, int64_t, const cuda::Stream&>(),
             py::arg("queries"), py::arg("k"), py::arg("max_distance"), py::arg("codes"),
             py::arg("stream"), py::keep_alive<1, 2>(), WithoutGil())
        .def(
            "add",
            [](Knn& knn, cuda::Tiles& tiles, Address allowed) {
                knn.add(tiles, at<const uint32_t>(allowed));
            },
            py::arg("tiles"), py::arg("allowed"), WithoutGil())
        .def(
            "finish",
            [](Knn& knn, Address distances, Address ids, Address counts, Address id_of) {
                knn.finish(at<int32_t>(distances), at<int64_t>(ids), at<int64_t>(counts),
                           at<const int64_t>(id_of));
            },
            py::arg("distances"), py::arg("ids"), py::arg("counts"), py::arg("id_of"), WithoutGil())
        .def_property_readonly("scan", [](const Knn& knn) { return scan_name(knn.scan()); })
        .def_static("bytes_per_query", &Knn::bytes_per_query, py::arg("k"), py::arg("codes"),
                    py::arg("bits"));
}

void register_range(py::module_& module) {
    using cuda::RangeSearch;
    py::class_<RangeSearch>(module, "RangeSearch", py::module_local())
        .def(py::init<const cuda::QueryRows&, int64_t, const cuda::Stream&>(), py::arg("queries"),
             py::arg("radius"), py::arg("stream"), py::keep_alive<1, 2>(), WithoutGil())
        .def(
            "count",
            [](RangeSearch& search, cuda::Tiles& tiles, Address allowed) {
                search.count(tiles, at<const uint32_t>(allowed));
            },
            py::arg("tiles"), py::arg("allowed"), WithoutGil())
        .def("counts", &RangeSearch::counts, WithoutGil())
        .def("begin", &RangeSearch::begin, py::arg("first"), py::arg("end"), WithoutGil())
        .def(
            "collect",
            [](RangeSearch& search, cuda::Tiles& tiles, Address allowed) {
                search.collect(tiles, at<const uint32_t>(allowed));
            },
            py::arg("tiles"), py::arg("allowed"), WithoutGil())
        .def(
            "finish",
            [](RangeSearch& search, Address distances, Address ids, Address id_of) {
                search.finish(at<int32_t>(distances), at<int64_t>(ids), at<const int64_t>(id_of));
            },
            py::arg("distances"), py::arg("ids"), py::arg("id_of"), WithoutGil())
        .def_property_readonly("scan",
                               [](const RangeSearch& search) { return scan_name(search.scan()); });
    module.attr("BYTES_PER_HIT") = RangeSearch::bytes_per_hit;
}

void add_histogram(const cuda::QueryRows& queries, cuda::Tiles& tiles, Address allowed,
                   Address query_labels, Address code_labels, int64_t label_words, Address counts,
                   const cuda::Stream& stream) {
    const cuda::SearchLabels labels{at<const uint64_t>(code_labels),
                                    at<const uint64_t>(query_labels), label_words};
    cuda::add_histogram(queries, tiles, at<const uint32_t>(allowed),
                        labels.codes == nullptr ? nullptr : &labels, at<int64_t>(counts), stream);
}

}  // namespace

void register_cuda_search(py::module_& module) {
    register_memory(module);
    register_codes(module);
    register_knn(module);
    register_range(module);
    module.def("add_histogram", &add_histogram, py::arg("queries"), py::arg("tiles"),
               py::arg("allowed"), py::arg("query_labels"), py::arg("code_labels"),
               py::arg("label_words"), py::arg("counts"), py::arg("stream"), WithoutGil());
}

}  // namespace hashcore::python
