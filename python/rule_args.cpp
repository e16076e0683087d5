#include "rule_args.h"

#include "arg_errors.h"

namespace hashcore::python {

Mining mining_arg(const std::string& name) {
    if (name == "all") return Mining::all;
    if (name == "hard") return Mining::hard;
    if (name == "semi_hard") return Mining::semi_hard;
    fail_value("mining", "'all', 'hard' or 'semi_hard'", name);
}

Penalty penalty_arg(const std::string& name) {
    if (name == "hinge") return Penalty::hinge;
    if (name == "logistic") return Penalty::logistic;
    fail_value("penalty", "'hinge' or 'logistic'", name);
}

RelaxedSignRule relaxed_sign_arg(const std::string& relaxation, double margin, double beta) {
    const auto named = [&] {
        if (relaxation == "power_1") return Relaxation::power_1;
        if (relaxation == "power_2") return Relaxation::power_2;
        if (relaxation == "power_3") return Relaxation::power_3;
        if (relaxation == "polarisation") return Relaxation::polarisation;
        fail_value("relaxation", "'power_1', 'power_2', 'power_3' or 'polarisation'", relaxation);
    };
    return {named(), margin, beta};
}

}  // namespace hashcore::python
