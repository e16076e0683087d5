#include "index/flat.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "cpu/flat_scan.h"
#include "hashcore/errors.h"

namespace hashcore {
namespace {

constexpr int64_t rows_between_checks = 1 << 16;

}  // namespace

/// Codes to add, read in ascending id order.
struct FlatIndex::Batch {
    CodesView codes;
    std::vector<int64_t> ids;    // ascending
    std::vector<int64_t> order;  // order[i]: the row of ids[i]; empty when rows are in order

    Batch(CodesView new_codes, const int64_t* given, int64_t next_id)
        : codes(new_codes), ids(static_cast<size_t>(new_codes.count)) {
        if (given == nullptr) {
            if (codes.count > std::numeric_limits<int64_t>::max() - next_id)
                throw std::invalid_argument("ids: no automatic ids are left; pass ids=");
            std::iota(ids.begin(), ids.end(), next_id);
            return;
        }
        std::copy_n(given, codes.count, ids.begin());
        if (!std::is_sorted(ids.begin(), ids.end())) {
            order.resize(ids.size());
            std::iota(order.begin(), order.end(), int64_t{0});
            std::sort(order.begin(), order.end(),
                      [given](int64_t a, int64_t b) { return given[a] < given[b]; });
            std::sort(ids.begin(), ids.end());
        }
        if (!ids.empty() && ids.front() < 0)
            throw std::invalid_argument("ids: expected >= 0 (-1 marks a missing hit); got " +
                                        std::to_string(ids.front()));
        if (!ids.empty() && ids.back() == std::numeric_limits<int64_t>::max())
            throw std::invalid_argument("ids: expected below 2**63 - 1");
        const auto twice = std::adjacent_find(ids.begin(), ids.end());
        if (twice != ids.end())
            throw std::invalid_argument("ids: " + std::to_string(*twice) +
                                        " is given twice; every code needs an id of its own");
    }

    int64_t count() const { return codes.count; }
    const uint8_t* row(int64_t i) const {
        const int64_t source = order.empty() ? i : order[static_cast<size_t>(i)];
        return codes.data + source * bytes_per_code(codes.bits);
    }
};

FlatIndex::FlatIndex(int64_t bits, int threads) : bits_(bits), threads_(threads) {}

FlatIndex::FlatIndex(const IndexFile& file, bool map, bool verify, int threads, Monitor* monitor)
    : bits_(file.header().bits),
      threads_(threads),
      count_(file.header().count),
      next_id_(file.header().next_id),
      dense_ids_(!file.has(SectionTag::ids)) {
    // The count is at most the file's size, so none of this overflows.
    const int64_t words = interleaved_words(count_, bits_);
    const auto code_bytes = static_cast<uint64_t>(words) * sizeof(uint64_t);
    const auto id_bytes = static_cast<uint64_t>(count_) * sizeof(int64_t);
    const uint64_t codes_at = file.offset_of(SectionTag::codes, code_bytes);
    const uint64_t ids_at = dense_ids_ ? 0 : file.offset_of(SectionTag::ids, id_bytes);
    if (monitor != nullptr) monitor->begin(static_cast<int64_t>(file.size()));
    if (map) {
        if (verify) file.verify_all(monitor);
        mapping_ = file.map();
        mapped_bytes_ = static_cast<int64_t>(file.size());
        mapped_blocks_ = reinterpret_cast<const uint64_t*>(mapping_.get() + codes_at);
        if (!dense_ids_) mapped_ids_ = reinterpret_cast<const int64_t*>(mapping_.get() + ids_at);
    } else {
        owned_ = WordBuffer(words);
        file.read(SectionTag::codes, owned_.data(), code_bytes, verify, monitor);
        if (!dense_ids_) {
            owned_ids_.resize(static_cast<size_t>(count_));
            file.read(SectionTag::ids, owned_ids_.data(), id_bytes, verify, monitor);
        }
    }
    if (verify) check_contents(file);
    if (count_ > 0 && next_id_ <= id_at(count_ - 1)) file.fail("next id is taken already");
    if (monitor != nullptr) monitor->finish();
}

/// What the checksums cannot tell: that the writer kept the rules.
void FlatIndex::check_contents(const IndexFile& file) const {
    if (!dense_ids_ && count_ > 0) {
        const int64_t* last = ids() + count_;
        if (*ids() < 0 || std::adjacent_find(ids(), last, std::greater_equal<>()) != last)
            file.fail("ids are negative or do not ascend");
    }
    if (bits_ % 64 == 0) return;
    std::vector<uint8_t> used(static_cast<size_t>(bytes_per_code(bits_)), 0xFF);
    if (bits_ % 8 != 0) used.back() = static_cast<uint8_t>(0xFF << (8 - bits_ % 8));
    const uint64_t pad = ~row_words({used.data(), 1, bits_}).back();
    const int64_t words = words_per_code(bits_);
    for (int64_t block = 0; block < blocks_for(count_); ++block) {
        const uint64_t* last_word = blocks() + (block * words + words - 1) * block_codes;
        if (std::any_of(last_word, last_word + block_codes,
                        [pad](uint64_t word) { return (word & pad) != 0; }))
            file.fail("pad bits of codes are set");
    }
}

int64_t FlatIndex::size() const {
    const SharedLock::Reading lock(lock_);
    return count_;
}

int64_t FlatIndex::bytes_in_memory() const {
    const SharedLock::Reading lock(lock_);
    return mapped_bytes_ + owned_.size() * 8 + static_cast<int64_t>(owned_ids_.capacity() * 8);
}

bool FlatIndex::mapped() const {
    const SharedLock::Reading lock(lock_);
    return mapped_blocks_ != nullptr;
}

const int64_t* FlatIndex::ids() const {
    if (dense_ids_) return nullptr;
    return mapped_ids_ != nullptr ? mapped_ids_ : owned_ids_.data();
}

int64_t FlatIndex::id_at(int64_t position) const {
    return dense_ids_ ? position : ids()[position];
}

int64_t FlatIndex::position_of(int64_t id) const {
    if (dense_ids_) return id >= 0 && id < count_ ? id : -1;
    const int64_t* first = ids();
    const int64_t* found = std::lower_bound(first, first + count_, id);
    return found != first + count_ && *found == id ? found - first : -1;
}

SearchOptions FlatIndex::resolved(const SearchOptions& options) const {
    SearchOptions result = options;
    if (result.threads == 0) result.threads = threads_;
    return result;
}

/// Makes the codes and ids this object's own, with room for `capacity_codes`.
void FlatIndex::own(int64_t capacity_codes) {
    const int64_t needed = interleaved_words(capacity_codes, bits_);
    if (owned_.size() < needed) {
        const int64_t grown = owned_.size() + owned_.size() / 2;
        WordBuffer larger(std::max(needed, grown));
        std::copy_n(blocks(), interleaved_words(count_, bits_), larger.data());
        owned_ = std::move(larger);
    }
    if (mapped_ids_ != nullptr) owned_ids_.assign(mapped_ids_, mapped_ids_ + count_);
    unmap();
}

void FlatIndex::unmap() {
    mapped_blocks_ = nullptr;
    mapped_ids_ = nullptr;
    mapped_bytes_ = 0;
    mapping_.reset();
}

/// Room for `batch`'s ids after the present ones, so that adding them cannot fail.
void FlatIndex::reserve_ids(const Batch& batch) {
    if (continues_dense(batch)) return;
    const auto total = static_cast<size_t>(count_ + batch.count());
    if (dense_ids_) {
        std::vector<int64_t> larger;
        larger.reserve(total);
        larger.resize(static_cast<size_t>(count_));
        std::iota(larger.begin(), larger.end(), int64_t{0});
        owned_ids_ = std::move(larger);
    } else if (owned_ids_.capacity() < total) {
        owned_ids_.reserve(std::max(total, owned_ids_.capacity() + owned_ids_.capacity() / 2));
    }
}

bool FlatIndex::continues_dense(const Batch& batch) const {
    return dense_ids_ && batch.ids.front() == count_ &&
           batch.ids.back() == count_ + batch.count() - 1;
}

/// Every new id lies above the ones here.
void FlatIndex::append(const Batch& batch, Monitor* monitor) {
    own(count_ + batch.count());
    reserve_ids(batch);
    try {
        int64_t unreported = 0;
        for (int64_t i = 0; i < batch.count();) {
            const int64_t position = count_ + i;
            const bool bulk = batch.order.empty() && position % block_codes == 0;
            const int64_t step =
                bulk ? std::min(batch.count() - i, rows_between_checks) : int64_t{1};
            if (bulk)
                interleave(batch.codes, i, step, owned_.data() + position * words_per_code(bits_));
            else
                write_code(owned_.data(), position, bits_, batch.row(i));
            i += step;
            unreported += step;
            if (monitor != nullptr && unreported >= rows_between_checks)
                monitor->advance(std::exchange(unreported, 0));
        }
        if (monitor != nullptr) monitor->finish();
    } catch (...) {
        zero_block_from(owned_.data(), count_, bits_);
        if (dense_ids_) owned_ids_ = {};
        throw;
    }
    if (!continues_dense(batch)) {
        owned_ids_.insert(owned_ids_.end(), batch.ids.begin(), batch.ids.end());
        dense_ids_ = false;
    }
    count_ += batch.count();
    zero_block_from(owned_.data(), count_, bits_);
}

/// Some new ids lie between the ones here: both are merged into new storage.
void FlatIndex::merge(const Batch& batch, Monitor* monitor) {
    const int64_t total = count_ + batch.count();
    FlatIndex merged(bits_, threads_);
    merged.own(total);
    merged.dense_ids_ = false;
    merged.owned_ids_.reserve(static_cast<size_t>(total));
    const CodeSource present = source();
    int64_t here = 0;
    int64_t there = 0;
    while (here < count_ || there < batch.count()) {
        const bool from_batch =
            here == count_ ||
            (there < batch.count() && batch.ids[static_cast<size_t>(there)] < id_at(here));
        if (from_batch) {
            write_code(merged.owned_.data(), merged.count_, bits_, batch.row(there));
            merged.owned_ids_.push_back(batch.ids[static_cast<size_t>(there++)]);
        } else {
            present.copy_code(here, merged.owned_.data(), merged.count_);
            merged.owned_ids_.push_back(id_at(here++));
        }
        ++merged.count_;
        if (monitor != nullptr && merged.count_ % rows_between_checks == 0)
            monitor->advance(rows_between_checks);
    }
    zero_block_from(merged.owned_.data(), total, bits_);
    merged.dense_ids_ = merged.owned_ids_.back() == total - 1;
    if (merged.dense_ids_) merged.owned_ids_ = {};
    if (monitor != nullptr) monitor->finish();

    owned_ = std::move(merged.owned_);
    owned_ids_ = std::move(merged.owned_ids_);
    dense_ids_ = merged.dense_ids_;
    unmap();
    count_ = total;
}

void FlatIndex::add(CodesView codes, const int64_t* ids, int64_t* out_ids, Monitor* monitor) {
    const SharedLock::Writing lock(lock_, monitor);
    const Batch batch(codes, ids, next_id_);
    if (batch.count() == 0) return;
    const bool above_all = count_ == 0 || batch.ids.front() > id_at(count_ - 1);
    if (!above_all)
        for (const int64_t id : batch.ids)
            if (position_of(id) >= 0)
                throw std::invalid_argument("ids: " + std::to_string(id) +
                                            " is in the index already; every code "
                                            "needs an id of its own");
    if (monitor != nullptr) monitor->begin(batch.count() + (above_all ? 0 : count_));
    if (above_all)
        append(batch, monitor);
    else
        merge(batch, monitor);
    next_id_ = std::max(next_id_, batch.ids.back() + 1);
    if (ids != nullptr)
        std::copy_n(ids, codes.count, out_ids);
    else
        std::copy(batch.ids.begin(), batch.ids.end(), out_ids);
}

void FlatIndex::search(CodesView queries, int64_t k, std::optional<int64_t> max_distance,
                       const SearchOptions& options, KnnOutput out) const {
    const SharedLock::Reading lock(lock_, options.monitor);
    flat_knn(source(), ids(), queries, k, max_distance, resolved(options), out);
}

RangeOutput FlatIndex::range_search(CodesView queries, int64_t radius,
                                    std::optional<int64_t> max_results,
                                    const SearchOptions& options) const {
    const SharedLock::Reading lock(lock_, options.monitor);
    return flat_range_search(source(), ids(), queries, radius, max_results, resolved(options));
}

bool FlatIndex::contains(int64_t id) const {
    const SharedLock::Reading lock(lock_);
    return position_of(id) >= 0;
}

std::vector<int64_t> FlatIndex::all_ids() const {
    const SharedLock::Reading lock(lock_);
    if (!dense_ids_) return {ids(), ids() + count_};
    std::vector<int64_t> dense(static_cast<size_t>(count_));
    std::iota(dense.begin(), dense.end(), int64_t{0});
    return dense;
}

void FlatIndex::get(const int64_t* ids, int64_t count, uint8_t* out) const {
    const SharedLock::Reading lock(lock_);
    for (int64_t i = 0; i < count; ++i) {
        const int64_t position = position_of(ids[i]);
        if (position < 0)
            throw std::out_of_range("id " + std::to_string(ids[i]) + " is not in the index");
        read_code(blocks(), position, bits_, out + i * bytes_per_code(bits_));
    }
}

void FlatIndex::save(const std::string& path, Monitor* monitor) const {
    const SharedLock::Reading lock(lock_, monitor);
    std::vector<SectionData> sections = {
        {SectionTag::codes, blocks(),
         static_cast<uint64_t>(interleaved_words(count_, bits_)) * sizeof(uint64_t)}};
    if (!dense_ids_)
        sections.push_back(
            {SectionTag::ids, ids(), static_cast<uint64_t>(count_) * sizeof(int64_t)});
    write_index_file(path, {FileKind::flat, bits_, count_, next_id_}, sections, monitor);
}

}  // namespace hashcore
