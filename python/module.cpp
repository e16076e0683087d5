#include "bindings.h"

PYBIND11_MODULE(_core, module) {
    module.doc() = "The hashcore engine. Use the hashcore package; this module may change.";
    hashcore::python::register_runtime(module);
    hashcore::python::register_codes(module);
    hashcore::python::register_search(module);
    hashcore::python::register_index(module);
    hashcore::python::register_metrics(module);
    hashcore::python::register_ops(module);
    hashcore::python::register_rescore(module);
}
