#include <stdexcept>

#include "cuda/device.h"
#include "cuda/runtime.h"

namespace hashcore::cuda {

void check(cudaError_t status, const char* doing) {
    if (status == cudaSuccess) return;
    (void)cudaGetLastError();  // the next call starts afresh
    throw std::runtime_error(std::string("CUDA: ") + doing + ": " + cudaGetErrorString(status));
}

DeviceScope::DeviceScope(int device) {
    int current = 0;
    check(cudaGetDevice(&current), "the current device");
    if (current == device) return;
    check(cudaSetDevice(device), "choosing a device");
    before_ = current;
}

DeviceScope::~DeviceScope() {
    if (before_ >= 0) (void)cudaSetDevice(before_);
}

int driver_version() {
    int version = 0;
    return cudaDriverGetVersion(&version) == cudaSuccess ? version : 0;
}

int device_count() {
    int count = 0;
    check(cudaGetDeviceCount(&count), "looking for devices");
    return count;
}

std::vector<DeviceInfo> devices() {
    const int count = device_count();
    std::vector<DeviceInfo> found;
    for (int device = 0; device < count; ++device) {
        cudaDeviceProp properties{};
        check(cudaGetDeviceProperties(&properties, device), "properties of a device");
        found.push_back({properties.name, properties.major, properties.minor,
                         properties.multiProcessorCount,
                         static_cast<int64_t>(properties.totalGlobalMem)});
    }
    return found;
}

}  // namespace hashcore::cuda
