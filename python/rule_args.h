// Names of losses to the engine's.
#pragma once
#include <string>

#include "hashcore/ops.h"

namespace hashcore::python {

Mining mining_arg(const std::string& name);
Penalty penalty_arg(const std::string& name);
RelaxedSignRule relaxed_sign_arg(const std::string& relaxation, double margin, double beta);

}  // namespace hashcore::python
