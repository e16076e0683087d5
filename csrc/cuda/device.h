// Devices, and errors of the CUDA runtime. Host code may include this without CUDA.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace hashcore::cuda {

struct DeviceInfo {
    std::string name;
    int major, minor;  ///< of its compute capability
    int multiprocessors;
    int64_t memory;  ///< bytes
};

/// Throws std::runtime_error that says what is missing where there is no driver or no device.
std::vector<DeviceInfo> devices();

/// As devices() throws.
int device_count();

/// The newest CUDA version that the driver has, 13000 for 13.0; 0 without a driver.
int driver_version();

}  // namespace hashcore::cuda
