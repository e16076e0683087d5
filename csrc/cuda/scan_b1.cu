#include <stdexcept>

#include "cuda/b1_scans.h"
#include "cuda/runtime.h"
#include "cuda/scan_choice.h"

namespace hashcore::cuda {

void scan_b1(const SearchPass& pass, const Stream& stream) {
    if (pass.queries.count == 0 || pass.first_tile >= pass.end_tile) return;
    int major = 0;
    check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, stream.device),
          "compute capability of the device");
#if HASHCORE_B1_SM90A
    if (major == 9) return b1::scan_by_wgmma(pass, stream);
#endif
#if HASHCORE_B1_SM80
    if (major == 8) return b1::scan_by_mma(pass, stream);
#endif
    throw std::runtime_error("CUDA: a scan on the tensor core: it was not built for this device");
}

}  // namespace hashcore::cuda
