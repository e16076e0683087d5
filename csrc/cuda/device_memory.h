// Memory of a device. Host code may include this without CUDA.
#pragma once
#include <cstdint>
#include <memory>
#include <utility>

#include "cuda/launch.h"

namespace hashcore::cuda {

/// A point in what is queued on streams.
class Event {
 public:
    explicit Event(int device);
    ~Event();
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;

    void record(const Stream& stream);
    /// What is queued on `stream` from now on starts after the point; nothing where there is none.
    void hold(const Stream& stream) const;
    /// Waits for it here.
    void wait() const;

 private:
    int device_;
    void* handle_ = nullptr;
    bool recorded_ = false;
};

/// What is queued on `stream` from now on starts after what is queued on `other`.
void follow(const Stream& stream, const Stream& other);

/// Memory that is there for what is queued on its stream from now on, until what was queued on it
/// by the end of its life is done. Nothing waits for either.
class DeviceMemory {
 public:
    DeviceMemory() = default;
    /// Throws std::runtime_error that names `what` where there is not enough.
    DeviceMemory(int64_t bytes, const char* what, const Stream& stream);
    ~DeviceMemory();
    DeviceMemory(DeviceMemory&& other) noexcept { swap(other); }
    DeviceMemory& operator=(DeviceMemory&& other) noexcept {
        swap(other);
        return *this;
    }

    template <class T>
    T* as() const {
        return static_cast<T*>(data_);
    }
    const Stream& stream() const { return stream_; }
    /// What is queued on another stream reads it: it stays until that is done.
    void read_on(const Stream& stream);

 private:
    void swap(DeviceMemory& other) {
        std::swap(data_, other.data_);
        std::swap(read_, other.read_);
        std::swap(stream_, other.stream_);
    }

    void* data_ = nullptr;
    Stream stream_{0, nullptr};
    std::unique_ptr<Event> read_;
};

void clear(void* data, int64_t bytes, const Stream& stream);
void copy_within(void* to, const void* from, int64_t bytes, const Stream& stream);
void copy_to_device(void* to, const void* from, int64_t bytes, const Stream& stream);
void copy_to_host(void* to, const void* from, int64_t bytes, const Stream& stream);
/// Waits for all that is queued.
void wait_for(const Stream& stream);

int64_t free_memory(int device);
int architecture(int device);  ///< 90 for 9.0

}  // namespace hashcore::cuda
