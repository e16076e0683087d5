#pragma once
#include "cpu/kernel_table.h"

namespace hashcore {

/// The kernels of the level in use; see isa() for how it is chosen and what it throws.
/// Ask once a call, outside every loop.
const KernelTable& kernels();

}  // namespace hashcore
