#include "core/large_buffer.h"

#include <sys/mman.h>

#include <new>

namespace hashcore {
namespace {

constexpr size_t huge_page = size_t{2} << 20;

}  // namespace

LargeBuffer::LargeBuffer(size_t bytes) : size_(bytes) {
    if (bytes == 0) return;
    if (bytes > SIZE_MAX / 2) throw std::bad_alloc();
    const size_t reserved = bytes + huge_page;
    void* address = mmap(nullptr, reserved, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (address == MAP_FAILED) throw std::bad_alloc();
    const auto start = reinterpret_cast<uintptr_t>(address);
    const uintptr_t aligned = (start + huge_page - 1) / huge_page * huge_page;
#ifdef MADV_HUGEPAGE
    if (bytes >= huge_page) madvise(reinterpret_cast<void*>(aligned), bytes, MADV_HUGEPAGE);
#endif
    const std::shared_ptr<void> mapping(address, [reserved](void* p) { munmap(p, reserved); });
    data_ = {mapping, reinterpret_cast<void*>(aligned)};
}

}  // namespace hashcore
