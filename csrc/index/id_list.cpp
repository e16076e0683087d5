#include "index/id_list.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

namespace hashcore {

IdList::IdList(std::vector<int64_t> ascending)
    : count_(static_cast<int64_t>(ascending.size())),
      dense_(ascending.empty() || ascending.back() == count_ - 1) {
    if (!dense_) owned_ = std::move(ascending);
}

IdList IdList::dense(int64_t count) {
    IdList ids;
    ids.count_ = count;
    return ids;
}

IdList::IdList(const SectionLoader& loader, uint32_t part)
    : count_(loader.file().header().parts[part].codes) {
    const SectionName name{SectionTag::ids, part};
    dense_ = !loader.file().has(name);
    if (dense_) return;
    if (loader.maps())
        mapped_ = loader.mapped<int64_t>(name, count_);
    else
        loader.read<int64_t>(name, count_, [this] {
            owned_.resize(static_cast<size_t>(count_));
            return owned_.data();
        });
    const int64_t* end = data() + count_;
    if (loader.verifies() && count_ > 0 &&
        (*data() < 0 || std::adjacent_find(data(), end, std::greater_equal<>()) != end))
        loader.file().fail("ids are negative or do not ascend");
}

const int64_t* IdList::data() const {
    if (dense_) return nullptr;
    return mapped_ != nullptr ? mapped_.get() : owned_.data();
}

int64_t IdList::lower_bound(int64_t id) const {
    if (data() == nullptr) return std::clamp<int64_t>(id, 0, count_);
    return std::lower_bound(data(), data() + count_, id) - data();
}

int64_t IdList::position_of(int64_t id) const {
    const int64_t position = lower_bound(id);
    return position < count_ && at(position) == id ? position : -1;
}

int64_t IdList::bytes() const {
    return static_cast<int64_t>(owned_.capacity() * 8) + (mapped_ != nullptr ? count_ * 8 : 0);
}

bool IdList::stays_dense(const std::vector<int64_t>& more) const {
    return dense_ && more.front() == count_ &&
           more.back() == count_ + static_cast<int64_t>(more.size()) - 1;
}

void IdList::reserve(const std::vector<int64_t>& more) {
    if (stays_dense(more)) return;
    const size_t total = static_cast<size_t>(count_) + more.size();
    if (dense_) {
        std::vector<int64_t> stored;
        stored.reserve(total);
        stored.resize(static_cast<size_t>(count_));
        std::iota(stored.begin(), stored.end(), int64_t{0});
        owned_ = std::move(stored);
    } else if (owned_.capacity() < total) {
        owned_.reserve(std::max(total, owned_.capacity() + owned_.capacity() / 2));
    }
}

void IdList::undo_reserve() noexcept {
    if (dense_) owned_ = {};
}

void IdList::append(const std::vector<int64_t>& more) noexcept {
    if (!stays_dense(more)) {
        owned_.insert(owned_.end(), more.begin(), more.end());
        dense_ = false;
    }
    count_ += static_cast<int64_t>(more.size());
}

std::optional<SectionData> IdList::section(uint32_t part) const {
    if (dense_) return std::nullopt;
    return SectionData{
        {SectionTag::ids, part}, data(), static_cast<uint64_t>(count_) * sizeof(int64_t)};
}

}  // namespace hashcore
