#include "index/stored_index.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "hashcore/errors.h"
#include "index/allowed_parts.h"
#include "index/flat_segment.h"
#include "index/merge_hits.h"
#include "index/new_codes.h"

namespace hashcore {
namespace {

constexpr int64_t steps_between_checks = 1 << 16;

std::unique_ptr<Part> empty_part(int64_t bits) {
    return std::make_unique<Part>(std::make_unique<FlatSegment>(bits), IdList());
}

void check_new(const NewCodes& batch, const Part& part) {
    if (batch.ids().front() > part.ids().last()) return;
    for (const int64_t id : batch.ids())
        if (part.find(id) >= 0)
            throw std::invalid_argument("ids: " + std::to_string(id) +
                                        " is in the index already; every code needs an id of its "
                                        "own");
}

/// Begins and finishes a search's progress, which counts pairs of both parts.
template <class Search>
void watch(Monitor* monitor, int64_t pairs, const Search& search) {
    if (monitor != nullptr) monitor->begin(pairs);
    search();
    if (monitor != nullptr) monitor->finish();
}

}  // namespace

StoredIndex::StoredIndex(SegmentOptions options, std::unique_ptr<Segment> base, IdList ids)
    : bits_(base->bits()),
      options_(std::move(options)),
      base_(std::make_unique<Part>(std::move(base), std::move(ids))),
      delta_(empty_part(bits_)),
      next_id_(base_->ids().last() + 1) {}

StoredIndex::StoredIndex(const SectionLoader& loader, SegmentOptions options)
    : bits_(loader.file().header().bits),
      options_(std::move(options)),
      base_(std::make_unique<Part>(loader, base_part, load_segment(loader))),
      delta_(loader.file().header().parts[delta_part].codes == 0
                 ? empty_part(bits_)
                 : std::make_unique<Part>(loader, delta_part,
                                          std::make_unique<FlatSegment>(loader, delta_part))),
      next_id_(loader.file().header().next_id) {
    options_.mih = base_->segment().mih_params();
    check_parts(loader);
}

/// What neither part can tell alone.
void StoredIndex::check_parts(const SectionLoader& loader) const {
    if (next_id_ <= std::max(base_->ids().last(), delta_->ids().last()))
        loader.file().fail("next id is taken already");
    if (!loader.verifies()) return;
    for (int64_t i = delta_->next_live(0); i < delta_->count(); i = delta_->next_live(i + 1))
        if (base_->find(delta_->ids().at(i)) >= 0)
            loader.file().fail("id " + std::to_string(delta_->ids().at(i)) +
                               " is in the base and in the delta");
}

std::string StoredIndex::kind() const {
    const SharedLock::Reading lock(lock_);
    return kind_name(base_->segment().kind());
}

int64_t StoredIndex::size() const {
    const SharedLock::Reading lock(lock_);
    return live();
}

int64_t StoredIndex::bytes_in_memory() const {
    const SharedLock::Reading lock(lock_);
    return base_->bytes() + delta_->bytes();
}

bool StoredIndex::mapped() const {
    const SharedLock::Reading lock(lock_);
    return base_->mapped() || delta_->mapped();
}

Stats StoredIndex::stats() const {
    const SharedLock::Reading lock(lock_);
    const int64_t bytes = base_->bytes() + delta_->bytes();
    const double per_code =
        live() == 0 ? 0.0 : static_cast<double>(bytes) / static_cast<double>(live());
    Stats stats{{"kind", std::string(kind_name(base_->segment().kind()))},
                {"bits", bits_},
                {"codes", live()},
                {"removed", base_->removed().count() + delta_->removed().count()},
                {"delta", delta_->live()},
                {"bytes", bytes},
                {"bytes_per_code", per_code},
                {"mapped", base_->mapped() || delta_->mapped()}};
    base_->segment().add_stats(stats);
    return stats;
}

void StoredIndex::add(CodesView codes, const int64_t* ids, int64_t* out_ids, Monitor* monitor) {
    std::unique_ptr<Part> old_base;  // goes after the lock: its owner may do anything then
    const SharedLock::Writing lock(lock_, monitor);
    const NewCodes batch(codes, ids, next_id_);
    if (codes.count == 0) return;
    check_new(batch, *base_);
    check_new(batch, *delta_);
    const int64_t lowest = batch.ids().front();
    if (base_->count() == 0 && delta_->count() == 0) {
        old_base = std::exchange(
            base_, std::make_unique<Part>(make_segment(options_, batch.rows(), monitor),
                                          IdList(batch.ids())));
    } else if (base_->can_append(lowest)) {
        base_->append(batch.rows(), batch.ids(), monitor);
    } else if (delta_->can_append(lowest)) {
        delta_->append(batch.rows(), batch.ids(), monitor);
    } else {
        const Part more(FlatSegment::borrow(batch.rows(), nullptr), IdList(batch.ids()));
        delta_ = merge_flat(*delta_, more, monitor);
    }
    next_id_ = std::max(next_id_, batch.ids().back() + 1);
    if (ids != nullptr)
        std::copy_n(ids, codes.count, out_ids);
    else
        std::copy(batch.ids().begin(), batch.ids().end(), out_ids);
}

int64_t StoredIndex::remove(const int64_t* ids, int64_t count, Monitor* monitor) {
    const SharedLock::Writing lock(lock_, monitor);
    std::vector<int64_t> in_base;
    std::vector<int64_t> in_delta;
    for (int64_t i = 0; i < count; ++i) {
        if (ids[i] < 0)
            throw std::invalid_argument("ids: expected >= 0; got " + std::to_string(ids[i]));
        if (const int64_t position = base_->find(ids[i]); position >= 0)
            in_base.push_back(position);
        else if (const int64_t added = delta_->find(ids[i]); added >= 0)
            in_delta.push_back(added);
        if (monitor != nullptr && (i + 1) % steps_between_checks == 0) monitor->advance(0);
    }
    if (!in_base.empty()) base_->reserve_removals();
    if (!in_delta.empty()) delta_->reserve_removals();
    int64_t removed = 0;
    for (const int64_t position : in_base) removed += base_->remove(position) ? 1 : 0;
    for (const int64_t position : in_delta) removed += delta_->remove(position) ? 1 : 0;
    return removed;
}

void StoredIndex::compact(Monitor* monitor) {
    std::unique_ptr<Part> old_base;  // as in add()
    std::unique_ptr<Part> old_delta;
    const SharedLock::Writing lock(lock_, monitor);
    const bool base_is_whole =
        base_->removed().count() == 0 && delta_->live() == 0 && !wants_other_kind(monitor);
    std::unique_ptr<Part> delta = empty_part(bits_);
    if (!base_is_whole) old_base = std::exchange(base_, rebuilt(monitor));
    old_delta = std::exchange(delta_, std::move(delta));
}

/// Whether the base alone should be of another kind.
bool StoredIndex::wants_other_kind(Monitor* monitor) const {
    const auto source = base_->segment().source();
    return source && plan_tables(options_, *source, monitor).has_value();
}

std::unique_ptr<Part> StoredIndex::rebuilt(Monitor* monitor) const {
    if (options_.kind == "flat" && base_->segment().source())
        return merge_flat(*base_, *delta_, monitor);

    // The rows of the base are read behind room for the delta's, and move down past them.
    const int64_t bytes = bytes_per_code(bits_);
    const Segment& base = base_->segment();
    std::vector<uint8_t> rows(static_cast<size_t>((delta_->live() + base.count()) * bytes));
    uint8_t* base_rows = rows.data() + delta_->live() * bytes;
    base.read_all(base_rows, options_.threads, monitor);
    std::vector<int64_t> ids;
    ids.reserve(static_cast<size_t>(live()));
    for_each_live(*base_, *delta_, [&](const Part& part, int64_t position) {
        uint8_t* row = rows.data() + static_cast<int64_t>(ids.size()) * bytes;
        if (&part == base_.get())
            std::memmove(row, base_rows + position * bytes, static_cast<size_t>(bytes));
        else
            part.segment().read_codes(&position, 1, row);
        ids.push_back(part.ids().at(position));
        if (monitor != nullptr && ids.size() % steps_between_checks == 0) monitor->advance(0);
    });
    return std::make_unique<Part>(make_segment(options_, {rows.data(), live(), bits_}, monitor),
                                  IdList(std::move(ids)));
}

SegmentQuery StoredIndex::query_for(const Part& part, CodesView queries,
                                    const AllowedCodes* allowed,
                                    const SearchOptions& options) const {
    const int threads = options.threads == 0 ? options_.threads : options.threads;
    return {queries, allowed, part.ids().data(), threads, options.monitor};
}

void StoredIndex::search(CodesView queries, int64_t k, std::optional<int64_t> max_distance,
                         const SearchOptions& options, KnnOutput out) const {
    const SharedLock::Reading lock(lock_, options.monitor);
    const AllowedParts allowed(options.filter, *base_, *delta_);
    watch(options.monitor, (base_->count() + delta_->count()) * queries.count, [&] {
        base_->segment().knn(query_for(*base_, queries, allowed.base(), options), k, max_distance,
                             out);
        if (delta_->live() == 0) return;
        KnnRows added(queries.count, std::min(k, delta_->live()));
        delta_->segment().knn(query_for(*delta_, queries, allowed.delta(), options), added.k(),
                              max_distance, added.out());
        merge_knn(out, k, added.out(), added.k(), queries.count);
    });
}

RangeOutput StoredIndex::range_search(CodesView queries, int64_t radius,
                                      std::optional<int64_t> max_results,
                                      const SearchOptions& options) const {
    const SharedLock::Reading lock(lock_, options.monitor);
    const AllowedParts allowed(options.filter, *base_, *delta_);
    RangeOutput out;
    watch(options.monitor, (base_->count() + delta_->count()) * queries.count, [&] {
        out = base_->segment().range_search(query_for(*base_, queries, allowed.base(), options),
                                            radius, max_results);
        if (delta_->live() == 0) return;
        const RangeOutput added = delta_->segment().range_search(
            query_for(*delta_, queries, allowed.delta(), options), radius, max_results);
        out = merge_range(out, added, max_results);
    });
    return out;
}

bool StoredIndex::contains(int64_t id) const {
    const SharedLock::Reading lock(lock_);
    return base_->find(id) >= 0 || delta_->find(id) >= 0;
}

std::vector<int64_t> StoredIndex::all_ids() const {
    const SharedLock::Reading lock(lock_);
    std::vector<int64_t> ids;
    ids.reserve(static_cast<size_t>(live()));
    for_each_live(*base_, *delta_, [&ids](const Part& part, int64_t position) {
        ids.push_back(part.ids().at(position));
    });
    return ids;
}

void StoredIndex::get(const int64_t* ids, int64_t count, uint8_t* out) const {
    const SharedLock::Reading lock(lock_);
    const int64_t bytes = bytes_per_code(bits_);
    std::vector<int64_t> positions(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) {
        int64_t& position = positions[static_cast<size_t>(i)];
        position = base_->find(ids[i]);
        if (position >= 0) continue;
        const int64_t added = delta_->find(ids[i]);
        if (added < 0)
            throw std::out_of_range("id " + std::to_string(ids[i]) + " is not in the index");
        delta_->segment().read_codes(&added, 1, out + i * bytes);
    }
    base_->segment().read_codes(positions.data(), count, out);
}

void StoredIndex::save(const std::string& path, Monitor* monitor) const {
    const SharedLock::Reading lock(lock_, monitor);
    const auto counts = [](const Part& part) {
        return PartCounts{part.count(), part.removed().count()};
    };
    std::vector<SectionData> sections = base_->sections(base_part);
    if (delta_->count() > 0)
        for (SectionData& section : delta_->sections(delta_part))
            sections.push_back(std::move(section));
    write_index_file(
        path, {base_->segment().kind(), bits_, next_id_, {{counts(*base_), counts(*delta_)}}},
        sections, monitor);
}

}  // namespace hashcore
