#include <pybind11/stl.h>

#include "array_args.h"
#include "bindings.h"
#include "hashcore/metrics.h"
#include "long_call.h"

namespace hashcore::python {
namespace {

/// Codes and labels as the engine reads them; keeps the memory of both alive.
struct LabelledArg {
    CodesArg codes;
    py::array labels;
    LabelledCodes view;
};

/// `label_bits` empty: uint32 [rows] class ids; otherwise uint8 sets of that many classes.
LabelledArg labelled_arg(py::handle codes_object, py::handle labels_object,
                         std::optional<int64_t> bits, std::optional<int64_t> label_bits,
                         const std::string& side, const char* rows) {
    const std::string codes_name = side + "_codes";
    const std::string labels_name = side + "_labels";
    CodesArg codes = codes_arg(codes_object, codes_name.c_str(), rows, bits);
    const int64_t count = codes.view.count;
    LabelsView labels{nullptr, {nullptr, 0, 0}};
    py::array label_array;
    if (label_bits) {
        CodesArg sets = codes_arg(labels_object, labels_name.c_str(), rows, label_bits);
        labels.sets = sets.view;
        label_array = std::move(sets.array);
    } else {
        label_array = contiguous_array(labels_object, labels_name.c_str(), "uint32 [rows]", 1, 1);
        if (!py::isinstance<py::array_t<uint32_t>>(label_array))
            throw py::type_error(labels_name + ": expected uint32 [rows]; got " +
                                 describe(label_array) + ".");
        labels.ids = static_cast<const uint32_t*>(label_array.data());
    }
    const int64_t labelled = label_bits ? labels.sets.count : label_array.shape(0);
    if (labelled != count)
        throw py::value_error(labels_name + ": expected " + std::to_string(count) +
                              " rows, one a code; got " + std::to_string(labelled) + ".");
    const LabelledCodes view{codes.view, labels};
    return {std::move(codes), std::move(label_array), view};
}

struct Sides {
    LabelledArg queries, database;
};

Sides sides_arg(py::handle query_codes, py::handle database_codes, py::handle query_labels,
                py::handle database_labels, py::handle bits_object, py::handle label_bits_object) {
    const auto optional_bits = [](py::handle object, const char* name) -> std::optional<int64_t> {
        if (object.is_none()) return std::nullopt;
        return int_arg(object, name, 1, max_bits);
    };
    const auto bits = optional_bits(bits_object, "bits");
    const auto label_bits = optional_bits(label_bits_object, "label_bits");
    LabelledArg queries = labelled_arg(query_codes, query_labels, bits, label_bits, "query", "Q");
    LabelledArg database = labelled_arg(database_codes, database_labels, queries.codes.view.bits,
                                        label_bits, "database", "N");
    return {std::move(queries), std::move(database)};
}

std::vector<int64_t> cutoffs_arg(const std::vector<py::object>& values, const char* name) {
    std::vector<int64_t> cutoffs;
    for (const py::object& value : values) cutoffs.push_back(int_arg(value, name, 1));
    return cutoffs;
}

py::dict as_dict(RankingMetrics&& metrics) {
    py::dict out;
    out["relevant"] = adopt(std::move(metrics.relevant));
    out["ap_tie_aware"] = adopt(std::move(metrics.ap_tie_aware));
    out["ap_by_id"] = adopt(std::move(metrics.ap_by_id));
    out["ap_chance"] = adopt(std::move(metrics.ap_chance));
    out["map_at_a"] = adopt(std::move(metrics.map_at_a));
    out["map_at_b"] = adopt(std::move(metrics.map_at_b));
    out["map_at_c"] = adopt(std::move(metrics.map_at_c));
    out["map_at_c_tie_aware"] = adopt(std::move(metrics.map_at_c_tie_aware));
    out["precision_tie_aware"] = adopt(std::move(metrics.precision_tie_aware));
    out["precision_by_id"] = adopt(std::move(metrics.precision_by_id));
    out["ndcg_tie_aware"] = adopt(std::move(metrics.ndcg_tie_aware));
    out["ndcg_by_id"] = adopt(std::move(metrics.ndcg_by_id));
    out["retrieved"] = adopt(std::move(metrics.retrieved));
    out["hits"] = adopt(std::move(metrics.hits));
    out["macro_recall"] = adopt(std::move(metrics.macro_recall));
    out["macro_precision"] = adopt(std::move(metrics.macro_precision));
    return out;
}

py::dict evaluate_arrays(py::handle query_codes, py::handle database_codes, py::handle query_labels,
                         py::handle database_labels, py::handle bits, py::handle label_bits,
                         const std::vector<py::object>& map_at, const std::vector<py::object>& topn,
                         const std::vector<py::object>& ndcg_at, double ndcg_no_relevant,
                         py::handle threads, const py::object& progress) {
    const Sides sides =
        sides_arg(query_codes, database_codes, query_labels, database_labels, bits, label_bits);
    const Cutoffs cutoffs{cutoffs_arg(map_at, "map_at"), cutoffs_arg(topn, "topn"),
                          cutoffs_arg(ndcg_at, "ndcg_at"), ndcg_no_relevant};
    const int thread_count = threads_arg(threads);
    RankingMetrics metrics;
    run_long_call(progress, [&](Monitor* monitor) {
        metrics =
            evaluate(sides.queries.view, sides.database.view, cutoffs, {thread_count, monitor});
    });
    return as_dict(std::move(metrics));
}

py::array_t<int64_t> relevance_counts_array(py::handle query_codes, py::handle database_codes,
                                            py::handle query_labels, py::handle database_labels,
                                            py::handle bits, py::handle label_bits,
                                            py::handle threads) {
    const Sides sides =
        sides_arg(query_codes, database_codes, query_labels, database_labels, bits, label_bits);
    const int thread_count = threads_arg(threads);
    const CodesView& queries = sides.queries.view.codes;
    auto out = new_array<int64_t>({queries.count, queries.bits + 1, 2});
    int64_t* counts = out.mutable_data();
    run_long_call(py::none(), [&](Monitor* monitor) {
        relevance_counts(sides.queries.view, sides.database.view, {thread_count, monitor}, counts);
    });
    return out;
}

}  // namespace

void register_metrics(py::module_& module) {
    module.def("evaluate", &evaluate_arrays, py::arg("query_codes"), py::arg("database_codes"),
               py::arg("query_labels"), py::arg("database_labels"), py::arg("bits"),
               py::arg("label_bits"), py::arg("map_at"), py::arg("topn"), py::arg("ndcg_at"),
               py::arg("ndcg_no_relevant"), py::arg("threads"), py::arg("progress"));
    module.def("relevance_counts", &relevance_counts_array, py::arg("query_codes"),
               py::arg("database_codes"), py::arg("query_labels"), py::arg("database_labels"),
               py::arg("bits"), py::arg("label_bits"), py::arg("threads"));
}

}  // namespace hashcore::python
