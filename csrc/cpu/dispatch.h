#pragma once
#include <type_traits>

#include "cpu/kernel_table.h"

namespace hashcore {

/// The kernels of the level in use; see isa() for how it is chosen and what it throws.
/// Ask once a call, outside every loop.
const KernelTable& kernels();

/// Those of training losses for float or double.
template <class T>
const LossKernels<T>& loss_kernels() {
    if constexpr (std::is_same_v<T, float>)
        return kernels().losses_f32;
    else
        return kernels().losses_f64;
}

}  // namespace hashcore
