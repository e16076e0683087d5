#pragma once
#include <memory>
#include <string>
#include <vector>

#include "core/shared_lock.h"
#include "cpu/tiles.h"
#include "hashcore/index.h"
#include "index/serialize.h"

namespace hashcore {

/// Exhaustive search over interleaved codes.
///
/// Codes are kept in ascending id order, so that position order is id order everywhere below: the
/// kernels' (distance, position) is the promised (distance, id), and an id is found by bisection.
class FlatIndex final : public Index {
 public:
    FlatIndex(int64_t bits, int threads);
    FlatIndex(const IndexFile& file, bool map, bool verify, int threads, Monitor* monitor);

    std::string kind() const override { return "flat"; }
    int64_t bits() const override { return bits_; }
    int64_t size() const override;
    int64_t bytes_in_memory() const override;
    bool mapped() const override;

    void add(CodesView codes, const int64_t* ids, int64_t* out_ids, Monitor* monitor) override;
    void search(CodesView queries, int64_t k, std::optional<int64_t> max_distance,
                const SearchOptions& options, KnnOutput out) const override;
    RangeOutput range_search(CodesView queries, int64_t radius, std::optional<int64_t> max_results,
                             const SearchOptions& options) const override;
    bool contains(int64_t id) const override;
    std::vector<int64_t> all_ids() const override;
    void get(const int64_t* ids, int64_t count, uint8_t* out) const override;
    void save(const std::string& path, Monitor* monitor) const override;

 private:
    struct Batch;

    // All of these expect the lock to be held.
    const uint64_t* blocks() const { return mapped_blocks_ ? mapped_blocks_ : owned_.data(); }
    const int64_t* ids() const;  ///< null when a position is its own id
    int64_t id_at(int64_t position) const;
    int64_t position_of(int64_t id) const;  ///< -1 when it is not there
    CodeSource source() const { return CodeSource::blocks(blocks(), count_, bits_); }
    SearchOptions resolved(const SearchOptions& options) const;
    void own(int64_t capacity_codes);
    void unmap();
    void append(const Batch& batch, Monitor* monitor);
    void merge(const Batch& batch, Monitor* monitor);
    void reserve_ids(const Batch& batch);
    bool continues_dense(const Batch& batch) const;
    void check_contents(const IndexFile& file) const;

    const int64_t bits_;
    const int threads_;
    mutable SharedLock lock_;
    int64_t count_ = 0;
    int64_t next_id_ = 0;
    WordBuffer
        owned_;  ///< lanes past count_ in the last block are zero: equal indexes, equal files
    std::vector<int64_t> owned_ids_;
    bool dense_ids_ = true;  ///< ids are 0..count-1 and not stored

    std::shared_ptr<const uint8_t> mapping_;
    int64_t mapped_bytes_ = 0;
    const uint64_t* mapped_blocks_ = nullptr;
    const int64_t* mapped_ids_ = nullptr;
};

}  // namespace hashcore
