// The two ways to the binary tensor core.
#pragma once
#include "cuda/search_pass.h"

namespace hashcore::cuda::b1 {

/// On compute capability 9.0, where the module was built for sm_90a.
void scan_by_wgmma(const SearchPass& pass, const Stream& stream);

/// On compute capability 8.x.
void scan_by_mma(const SearchPass& pass, const Stream& stream);

}  // namespace hashcore::cuda::b1
