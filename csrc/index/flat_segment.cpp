#include "index/flat_segment.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/thread_pool.h"
#include "cpu/flat_scan.h"

namespace hashcore {
namespace {

constexpr int64_t rows_between_checks = 1 << 16;

}  // namespace

FlatSegment::FlatSegment(int64_t bits, int64_t count, WordBuffer blocks)
    : bits_(bits), count_(count), owned_(std::move(blocks)) {}

std::unique_ptr<FlatSegment> FlatSegment::borrow(CodesView rows,
                                                 std::shared_ptr<const void> owner) {
    auto segment = std::make_unique<FlatSegment>(rows.bits);
    segment->count_ = rows.count;
    segment->borrowed_ = true;
    segment->rows_ = rows;
    segment->owner_ = std::move(owner);
    return segment;
}

FlatSegment::FlatSegment(const SectionLoader& loader, uint32_t part)
    : bits_(loader.file().header().bits), count_(loader.file().header().parts[part].codes) {
    // The header's count is below 2^40, so this does not overflow.
    const int64_t words = interleaved_words(count_, bits_);
    const SectionName name{SectionTag::codes, part};
    if (loader.maps())
        mapped_ = loader.mapped<uint64_t>(name, words);
    else
        loader.read<uint64_t>(name, words, [&] {
            owned_ = WordBuffer(words);
            return owned_.data();
        });
    if (loader.verifies()) check_pad_bits(loader);
}

/// What the checksums cannot tell: that the writer kept the rules.
void FlatSegment::check_pad_bits(const SectionLoader& loader) const {
    if (bits_ % 64 == 0) return;
    std::vector<uint8_t> used(static_cast<size_t>(bytes_per_code(bits_)), 0xFF);
    if (bits_ % 8 != 0) used.back() = static_cast<uint8_t>(0xFF << (8 - bits_ % 8));
    const uint64_t pad = ~row_words({used.data(), 1, bits_}).back();
    const uint64_t* blocks = mapped() ? mapped_.get() : owned_.data();
    const int64_t words = words_per_code(bits_);
    for (int64_t block = 0; block < blocks_for(count_); ++block) {
        const uint64_t* last_word = blocks + (block * words + words - 1) * block_codes;
        if (std::any_of(last_word, last_word + block_codes,
                        [pad](uint64_t word) { return (word & pad) != 0; }))
            loader.file().fail("pad bits of codes are set");
    }
}

int64_t FlatSegment::bytes() const {
    if (borrowed_) return count_ * bytes_per_code(bits_);
    return (mapped() ? interleaved_words(count_, bits_) : owned_.size()) * 8;
}

CodeSource FlatSegment::scanned() const {
    if (borrowed_) return CodeSource::rows(rows_);
    return CodeSource::blocks(mapped() ? mapped_.get() : owned_.data(), count_, bits_);
}

std::optional<CodeSource> FlatSegment::source() const {
    return scanned();
}

void FlatSegment::knn(const SegmentQuery& query, int64_t k, std::optional<int64_t> max_distance,
                      KnnOutput out) const {
    flat_knn(scanned(), query, k, max_distance, out);
}

RangeOutput FlatSegment::range_search(const SegmentQuery& query, int64_t radius,
                                      std::optional<int64_t> max_results) const {
    return flat_range_search(scanned(), query, radius, max_results);
}

void FlatSegment::read(int64_t position, uint8_t* row) const {
    const int64_t bytes = bytes_per_code(bits_);
    if (borrowed_)
        std::memcpy(row, rows_.data + position * bytes, static_cast<size_t>(bytes));
    else
        read_code(mapped() ? mapped_.get() : owned_.data(), position, bits_, row);
}

void FlatSegment::read_codes(const int64_t* positions, int64_t count, uint8_t* rows) const {
    for (int64_t i = 0; i < count; ++i)
        if (positions[i] >= 0) read(positions[i], rows + i * bytes_per_code(bits_));
}

void FlatSegment::read_all(uint8_t* rows, int threads, Monitor* monitor) const {
    const int64_t tasks = (count_ + rows_between_checks - 1) / rows_between_checks;
    parallel_for(tasks, threads, monitor, [&](int64_t task) {
        const int64_t begin = task * rows_between_checks;
        const int64_t end = std::min(count_, begin + rows_between_checks);
        for (int64_t i = begin; i < end; ++i) read(i, rows + i * bytes_per_code(bits_));
        if (monitor != nullptr) monitor->advance(0);
    });
}

void FlatSegment::reserve(int64_t codes) {
    const int64_t needed = interleaved_words(codes, bits_);
    if (owned_.size() >= needed) return;
    WordBuffer larger(std::max(needed, owned_.size() + owned_.size() / 2));
    std::copy_n(owned_.data(), interleaved_words(count_, bits_), larger.data());
    owned_ = std::move(larger);
}

void FlatSegment::append(CodesView rows, Monitor* monitor) {
    if (monitor != nullptr) monitor->begin(rows.count);
    reserve(count_ + rows.count);
    try {
        int64_t unreported = 0;
        for (int64_t i = 0; i < rows.count;) {
            const int64_t position = count_ + i;
            const bool whole_blocks = position % block_codes == 0;
            const int64_t step =
                whole_blocks ? std::min(rows.count - i, rows_between_checks) : int64_t{1};
            if (whole_blocks)
                interleave(rows, i, step, owned_.data() + position * words_per_code(bits_));
            else
                write_code(owned_.data(), position, bits_, rows.data + i * bytes_per_code(bits_));
            i += step;
            unreported += step;
            if (monitor != nullptr && unreported >= rows_between_checks)
                monitor->advance(std::exchange(unreported, 0));
        }
        if (monitor != nullptr) monitor->finish();
    } catch (...) {
        zero_block_from(owned_.data(), count_, bits_);
        throw;
    }
    count_ += rows.count;
    zero_block_from(owned_.data(), count_, bits_);
}

std::vector<SectionData> FlatSegment::sections(uint32_t part) const {
    const SectionName name{SectionTag::codes, part};
    const uint64_t size = static_cast<uint64_t>(interleaved_words(count_, bits_)) * 8;
    if (!borrowed_) return {{name, mapped() ? mapped_.get() : owned_.data(), size}};
    const auto interleave_range = [this](uint64_t offset, uint64_t bytes, uint8_t* out) {
        const auto block_bytes = static_cast<uint64_t>(interleaved_words(block_codes, bits_)) * 8;
        const uint64_t first = offset / block_bytes;
        const uint64_t last = (offset + bytes + block_bytes - 1) / block_bytes;
        const auto begin = static_cast<int64_t>(first) * block_codes;
        const auto end = std::min(count_, static_cast<int64_t>(last) * block_codes);
        WordBuffer blocks(static_cast<int64_t>((last - first) * block_bytes / 8));
        interleave(rows_, begin, end - begin, blocks.data());
        std::memcpy(out,
                    reinterpret_cast<const uint8_t*>(blocks.data()) + offset - first * block_bytes,
                    bytes);
    };
    return {{name, nullptr, size, interleave_range}};
}

}  // namespace hashcore
