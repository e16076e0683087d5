#include <stdexcept>
#include <string>

#include "cuda/device_memory.h"
#include "cuda/runtime.h"

namespace hashcore::cuda {
namespace {

cudaStream_t handle_of(const Stream& stream) {
    return static_cast<cudaStream_t>(stream.handle);
}

std::string megabytes(int64_t bytes) {
    return std::to_string((bytes + (int64_t{1} << 20) - 1) >> 20) + " MiB";
}

void copy(void* to, const void* from, int64_t bytes, cudaMemcpyKind kind, const Stream& stream) {
    if (bytes == 0) return;
    const DeviceScope scope(stream.device);
    check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), kind, handle_of(stream)), "a copy");
}

}  // namespace

DeviceMemory::DeviceMemory(int64_t bytes, const char* what, const Stream& stream)
    : stream_(stream) {
    if (bytes == 0) return;
    const DeviceScope scope(stream.device);
    const cudaError_t status =
        cudaMallocAsync(&data_, static_cast<size_t>(bytes), handle_of(stream));
    if (status == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        throw std::runtime_error("CUDA: expected " + megabytes(bytes) + " for " + what +
                                 " on device " + std::to_string(stream.device) + ", which has " +
                                 megabytes(free_memory(stream.device)) +
                                 " free; search fewer codes or queries at once, or use the CPU");
    }
    check(status, what);
}

DeviceMemory::~DeviceMemory() {
    if (data_ == nullptr) return;
    try {
        if (read_) read_->hold(stream_);
    } catch (const std::exception&) {  // the device is lost
    }
    int before = 0;
    (void)cudaGetDevice(&before);
    (void)cudaSetDevice(stream_.device);
    (void)cudaFreeAsync(data_, handle_of(stream_));
    (void)cudaSetDevice(before);
}

void DeviceMemory::read_on(const Stream& stream) {
    if (!read_) read_ = std::make_unique<Event>(stream_.device);
    read_->hold(stream);  // so that the next record covers it as well
    read_->record(stream);
}

void follow(const Stream& stream, const Stream& other) {
    Event now(other.device);
    now.record(other);
    now.hold(stream);
}

Event::Event(int device) : device_(device) {
    const DeviceScope scope(device);
    cudaEvent_t event{};
    check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "an event");
    handle_ = event;
}

Event::~Event() {
    (void)cudaEventDestroy(static_cast<cudaEvent_t>(handle_));
}

void Event::record(const Stream& stream) {
    const DeviceScope scope(device_);
    check(cudaEventRecord(static_cast<cudaEvent_t>(handle_), handle_of(stream)), "an event");
    recorded_ = true;
}

void Event::hold(const Stream& stream) const {
    if (!recorded_) return;
    const DeviceScope scope(device_);
    check(cudaStreamWaitEvent(handle_of(stream), static_cast<cudaEvent_t>(handle_), 0), "an event");
}

void Event::wait() const {
    if (!recorded_) return;
    check(cudaEventSynchronize(static_cast<cudaEvent_t>(handle_)), "waiting");
}

void clear(void* data, int64_t bytes, const Stream& stream) {
    if (bytes == 0) return;
    const DeviceScope scope(stream.device);
    check(cudaMemsetAsync(data, 0, static_cast<size_t>(bytes), handle_of(stream)), "clearing");
}

void copy_within(void* to, const void* from, int64_t bytes, const Stream& stream) {
    copy(to, from, bytes, cudaMemcpyDeviceToDevice, stream);
}
void copy_to_device(void* to, const void* from, int64_t bytes, const Stream& stream) {
    copy(to, from, bytes, cudaMemcpyHostToDevice, stream);
}
void copy_to_host(void* to, const void* from, int64_t bytes, const Stream& stream) {
    copy(to, from, bytes, cudaMemcpyDeviceToHost, stream);
}

void wait_for(const Stream& stream) {
    const DeviceScope scope(stream.device);
    check(cudaStreamSynchronize(handle_of(stream)), "waiting");
}

int64_t free_memory(int device) {
    const DeviceScope scope(device);
    size_t free = 0, total = 0;
    check(cudaMemGetInfo(&free, &total), "memory of the device");
    return static_cast<int64_t>(free);
}

int architecture(int device) {
    int major = 0, minor = 0;
    check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device),
          "a device's capability");
    check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device),
          "a device's capability");
    return 10 * major + minor;
}

}  // namespace hashcore::cuda
