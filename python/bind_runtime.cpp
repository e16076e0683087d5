#include <pybind11/stl.h>

#include "array_args.h"
#include "bindings.h"
#include "hashcore/errors.h"
#include "hashcore/runtime.h"

namespace hashcore::python {

void register_runtime(py::module_& module) {
    py::register_exception<FormatError>(module, "FormatError", PyExc_ValueError);
    module.def("isa", &isa);
    module.def("isa_levels", &isa_levels);
    module.def("isa_levels_compiled", &isa_levels_compiled);
    module.def("force_isa", &force_isa, py::arg("level"));
    module.def("num_threads", &num_threads);
    module.def(
        "set_num_threads", [](py::handle count) { set_num_threads(threads_arg(count)); },
        py::arg("count"));
    module.attr("version") = HASHCORE_VERSION;
    module.attr("compiler") = HASHCORE_COMPILER;
    module.attr("cuda_architectures") = HASHCORE_CUDA;
}

}  // namespace hashcore::python
