// The CUDA half of the engine: a module of its own, so that nothing of CUDA is loaded before it is
// used. Pointers are integers, of memory that hashcore.ops has allocated and shaped on the device.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>

#include "cuda/device.h"
#include "cuda/launch.h"
#include "cuda_search.h"
#include "rule_args.h"

namespace py = pybind11;

namespace hashcore::python {
namespace {

using Address = uintptr_t;  // 0: null

template <class T>
T* at(Address address) {
    return reinterpret_cast<T*>(address);
}

cuda::Number number_arg(const std::string& dtype) {
    if (dtype == "bool") return cuda::Number::boolean;
    if (dtype == "float16") return cuda::Number::float16;
    if (dtype == "bfloat16") return cuda::Number::bfloat16;
    if (dtype == "float32") return cuda::Number::float32;
    if (dtype == "float64") return cuda::Number::float64;
    throw py::type_error("dtype: expected bool or floats; got " + dtype);
}

py::list devices() {
    py::list found;
    for (const cuda::DeviceInfo& device : cuda::devices()) {
        py::dict one;
        one["name"] = device.name;
        one["compute_capability"] = py::make_tuple(device.major, device.minor);
        one["multiprocessors"] = device.multiprocessors;
        one["memory"] = device.memory;
        found.append(one);
    }
    return found;
}

/// Labels of the rows and columns of pairs as bits in whole words.
struct Labels {
    Address rows, columns;
    int64_t words;

    operator cuda::PairLabels() const {
        return {at<const uint64_t>(rows), at<const uint64_t>(columns), words};
    }
};

void mine(Address products, int64_t rows, int64_t columns, Address row_squares,
          Address column_squares, std::optional<int64_t> own_column, const Labels& labels,
          const TripletRule& rule, Address discounts, Address room, Address sums, Address of_row,
          Address slopes, const cuda::Stream& stream) {
    const ProductBlock<float> block{at<float>(products),
                                    rows,
                                    columns,
                                    at<const float>(row_squares),
                                    at<const float>(column_squares),
                                    own_column.value_or(-1)};
    cuda::mine_triplets(block, labels, rule, at<const double>(discounts), at<char>(room),
                        {at<double>(sums), at<int64_t>(of_row), at<float>(slopes)}, stream);
}

void gradients_of_hard(Address anchors, Address candidates, int64_t rows, int64_t columns,
                       int64_t bits, Address of_row, Address slopes, Address scale, bool squared,
                       Address order, Address sorted, Address of_anchors, Address of_candidates,
                       const cuda::Stream& stream) {
    const cuda::HardPairs pairs{at<const float>(anchors),
                                at<const float>(candidates),
                                rows,
                                columns,
                                bits,
                                at<const int64_t>(of_row),
                                at<const float>(slopes),
                                at<const float>(scale),
                                squared};
    cuda::hard_gradients(pairs, at<const int64_t>(order), at<const int64_t>(sorted),
                         at<float>(of_anchors), at<float>(of_candidates), stream);
}

cuda::Outputs outputs_of(Address values, Address targets, const std::string& dtype, int64_t rows,
                         int64_t bits) {
    return {at<const void>(values), at<const void>(targets), number_arg(dtype), rows, bits};
}

/// The types belong to this module alone: the same code built for the host stands beside it in
/// tests.
void register_values(py::module_& module) {
    py::class_<cuda::Stream>(module, "Stream", py::module_local())
        .def(py::init(
                 [](int device, Address handle) { return cuda::Stream{device, at<void>(handle)}; }),
             py::arg("device"), py::arg("handle"));
    py::class_<Labels>(module, "PairLabels", py::module_local())
        .def(py::init<Address, Address, int64_t>(), py::arg("rows"), py::arg("columns"),
             py::arg("words"));
    py::class_<TripletRule>(module, "TripletRule", py::module_local())
        .def(py::init([](const std::string& mining, const std::string& penalty, bool graded,
                         bool weighted, double margin) {
                 return TripletRule{mining_arg(mining), penalty_arg(penalty), graded, weighted,
                                    margin};
             }),
             py::arg("mining"), py::arg("penalty"), py::arg("graded"), py::arg("weighted"),
             py::arg("margin"));
    py::class_<RelaxedSignRule>(module, "RelaxedSignRule", py::module_local())
        .def(py::init(&relaxed_sign_arg), py::arg("relaxation"), py::arg("margin"),
             py::arg("beta"));
}

}  // namespace

void register_cuda(py::module_& module) {
    register_values(module);
    module.def("devices", &devices);
    module.def("device_count", &cuda::device_count);
    module.def("driver_version", &cuda::driver_version);
    module.def(
        "pack_sign",
        [](Address values, const std::string& dtype, int64_t rows, int64_t bits, int64_t row_bytes,
           Address codes, const cuda::Stream& stream) {
            cuda::pack_sign(at<const void>(values), number_arg(dtype), rows, bits, row_bytes,
                            at<uint8_t>(codes), stream);
        },
        py::arg("values"), py::arg("dtype"), py::arg("rows"), py::arg("bits"), py::arg("row_bytes"),
        py::arg("codes"), py::arg("stream"));
    module.def(
        "pairwise_likelihood",
        [](Address products, int64_t rows, int64_t columns, const Labels& labels, float scale,
           Address losses, const cuda::Stream& stream) {
            cuda::pairwise_likelihood(at<float>(products), rows, columns, labels, scale,
                                      at<double>(losses), stream);
        },
        py::arg("products"), py::arg("rows"), py::arg("columns"), py::arg("labels"),
        py::arg("scale"), py::arg("losses"), py::arg("stream"));
    module.def("mining_room", &cuda::mining_room, py::arg("rows"), py::arg("columns"),
               py::arg("words"), py::arg("rule"), py::arg("device"));
    module.def("mine_triplets", &mine, py::arg("products"), py::arg("rows"), py::arg("columns"),
               py::arg("row_squares"), py::arg("column_squares"), py::arg("own_column"),
               py::arg("labels"), py::arg("rule"), py::arg("discounts"), py::arg("room"),
               py::arg("sums"), py::arg("of_row"), py::arg("slopes"), py::arg("stream"));
    module.def(
        "finish_triplets",
        [](Address sums, int64_t rows, bool weighted, Address loss, Address scale,
           const cuda::Stream& stream) {
            cuda::finish_triplets(at<const double>(sums), rows, weighted, at<float>(loss),
                                  at<float>(scale), stream);
        },
        py::arg("sums"), py::arg("rows"), py::arg("weighted"), py::arg("loss"), py::arg("scale"),
        py::arg("stream"));
    module.def("hard_gradients", &gradients_of_hard, py::arg("anchors"), py::arg("candidates"),
               py::arg("rows"), py::arg("columns"), py::arg("bits"), py::arg("of_row"),
               py::arg("slopes"), py::arg("scale"), py::arg("squared"), py::arg("order"),
               py::arg("sorted"), py::arg("of_anchors"), py::arg("of_candidates"),
               py::arg("stream"));
    module.def("relaxed_sign_room", &cuda::relaxed_sign_room, py::arg("rows"), py::arg("bits"));
    module.def(
        "relaxed_sign_sums",
        [](Address values, Address targets, const std::string& dtype, int64_t rows, int64_t bits,
           const RelaxedSignRule& rule, Address room, Address relaxed, Address terms,
           Address columns, const cuda::Stream& stream) {
            cuda::relaxed_sign_sums(outputs_of(values, targets, dtype, rows, bits), rule,
                                    at<double>(room), at<void>(relaxed), at<void>(terms),
                                    at<double>(columns), stream);
        },
        py::arg("values"), py::arg("targets"), py::arg("dtype"), py::arg("rows"), py::arg("bits"),
        py::arg("rule"), py::arg("room"), py::arg("relaxed"), py::arg("terms"), py::arg("columns"),
        py::arg("stream"));
    module.def(
        "relaxed_sign_slopes",
        [](Address values, Address targets, const std::string& dtype, int64_t rows, int64_t bits,
           const RelaxedSignRule& rule, Address of_terms, Address columns, bool continued,
           Address slopes, const cuda::Stream& stream) {
            cuda::relaxed_sign_slopes(outputs_of(values, targets, dtype, rows, bits), rule,
                                      at<const void>(of_terms), at<const double>(columns),
                                      continued, at<void>(slopes), stream);
        },
        py::arg("values"), py::arg("targets"), py::arg("dtype"), py::arg("rows"), py::arg("bits"),
        py::arg("rule"), py::arg("of_terms"), py::arg("columns"), py::arg("continued"),
        py::arg("slopes"), py::arg("stream"));
}

}  // namespace hashcore::python

PYBIND11_MODULE(HASHCORE_CUDA_MODULE, module) {
    module.doc() = "The CUDA half of the engine. Use the hashcore package; this module may change.";
    hashcore::python::register_cuda(module);
    hashcore::python::register_cuda_search(module);
}
