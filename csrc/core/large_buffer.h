#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

namespace hashcore {

/// Zeroed memory for big tables, in huge pages where the system has them: what is read at random
/// would otherwise miss the TLB at every access. Throws std::bad_alloc.
class LargeBuffer {
 public:
    LargeBuffer() = default;
    explicit LargeBuffer(size_t bytes);

    template <class T>
    T* as() const {
        return static_cast<T*>(data_.get());
    }
    size_t size() const { return size_; }

 private:
    std::shared_ptr<void> data_;
    size_t size_ = 0;
};

}  // namespace hashcore
