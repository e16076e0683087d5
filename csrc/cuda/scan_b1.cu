#include <cstdlib>
#include <stdexcept>
#include <string>

#include "cuda/b1_scans.h"
#include "cuda/runtime.h"
#include "cuda/scan_choice.h"

namespace hashcore::cuda {

Scan scan_to_run(const ScanCase& asked) {
    const char* set = std::getenv("HASHCORE_CUDA_SCAN");
    const std::string name = set == nullptr ? "" : set;
    if (name.empty()) return choose_scan(asked);
    if (name == "popc") return Scan::popc;
    if (name == "b1") return has_b1(asked) ? Scan::b1 : Scan::popc;
    throw std::invalid_argument("HASHCORE_CUDA_SCAN: expected popc or b1; got " + name);
}

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
