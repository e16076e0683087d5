#include "cpu/code_bitmap.h"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace hashcore {

CodeBitmap::CodeBitmap(int64_t count) : count_(count) {
    data_.reset(
        static_cast<uint64_t*>(std::calloc(static_cast<size_t>(padded_words()), sizeof(uint64_t))));
    if (data_ == nullptr) throw std::bad_alloc();
}

void CodeBitmap::Free::operator()(uint64_t* words) const noexcept {
    std::free(words);
}

void CodeBitmap::set_all() {
    std::fill_n(data_.get(), count_ / 64, ~uint64_t{0});
    if (count_ % 64 != 0) data_[at(count_)] = bit(count_) - 1;
}

}  // namespace hashcore
