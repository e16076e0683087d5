#include "index/tombstones.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace hashcore {

Tombstones::Tombstones(const SectionLoader& loader, uint32_t part) {
    const PartCounts counts = loader.file().header().parts[part];
    const SectionName name{SectionTag::removed, part};
    if (counts.removed == 0) {
        if (loader.file().has(name)) loader.file().fail("removed codes that the header lacks");
        return;
    }
    const int64_t words = (counts.codes + 63) / 64;
    if (loader.maps())
        mapped_ = loader.mapped<uint64_t>(name, words);
    else
        loader.read<uint64_t>(name, words, [&] {
            owned_ = CodeBitmap(counts.codes);
            return owned_.data();
        });
    words_ = words;
    // Everything that counts codes relies on this, so it is checked even where nothing else is.
    for (int64_t i = 0; i < words; ++i) count_ += std::popcount(data()[i]);
    if (counts.codes % 64 != 0 && data()[words - 1] >> (counts.codes % 64) != 0)
        loader.file().fail("codes past the last one are marked as removed");
    if (count_ != counts.removed)
        loader.file().fail(std::to_string(count_) + " codes are marked as removed, expected " +
                           std::to_string(counts.removed));
}

void Tombstones::reserve(int64_t codes) {
    const bool fits = (codes + 63) / 64 <= words_;
    if (fits && mapped_ == nullptr) return;
    const int64_t grown = words_ == 0 ? 0 : 64 * (words_ + words_ / 2);
    CodeBitmap larger(std::max(codes, fits ? codes : grown));
    std::copy_n(data(), words_, larger.data());
    owned_ = std::move(larger);
    words_ = owned_.words();
    mapped_.reset();
}

bool Tombstones::insert(int64_t position) noexcept {
    if (owned_.test(position)) return false;
    owned_.set(position);
    ++count_;
    return true;
}

std::optional<SectionData> Tombstones::section(uint32_t part, int64_t codes) const {
    if (count_ == 0) return std::nullopt;
    const auto write = [this](uint64_t offset, uint64_t size, uint8_t* out) {
        const uint64_t stored = static_cast<uint64_t>(words_) * 8;
        const uint64_t copied = offset < stored ? std::min(size, stored - offset) : 0;
        std::memcpy(out, reinterpret_cast<const uint8_t*>(data()) + offset, copied);
        std::memset(out + copied, 0, size - copied);
    };
    return SectionData{
        {SectionTag::removed, part}, nullptr, static_cast<uint64_t>((codes + 63) / 64) * 8, write};
}

}  // namespace hashcore
