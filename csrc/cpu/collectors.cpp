#include "cpu/collectors.h"

#include <algorithm>
#include <utility>

namespace hashcore {
namespace {

constexpr int64_t initial_hits = 64;

/// Drops the hits that a fallen limit has overtaken. The order of the others stays.
void compact(Collector& collector) {
    uint64_t ties_left = collector.keeps_ties ? 0 : collector.k - collector.below;
    size_t kept = 0;
    for (size_t i = 0; i < collector.size; ++i) {
        const uint32_t distance = hit_distance(collector.hits[i]);
        if (distance > collector.limit) continue;
        if (distance == collector.limit) {
            if (ties_left == 0) continue;
            --ties_left;
        }
        collector.hits[kept++] = collector.hits[i];
    }
    collector.size = kept;
}

/// Of hits whose positions are given apart, keeps the k best.
void decide_ties(Collector& collector, const uint32_t* positions) {
    if (collector.size <= collector.k) return;
    const auto before = [positions](Hit a, Hit b) {
        return hit_distance(a) != hit_distance(b)
                   ? hit_distance(a) < hit_distance(b)
                   : positions[hit_position(a)] < positions[hit_position(b)];
    };
    std::nth_element(collector.hits, collector.hits + collector.k, collector.hits + collector.size,
                     before);
    collector.size = collector.k;
}

void make_room(Collector* collector) {
    auto& storage = *static_cast<GroupCollectors::Storage*>(collector->owner);
    const auto roomy = [&] { return collector->size + codes_per_block <= collector->capacity / 2; };
    if (collector->histogram != nullptr) compact(*collector);
    if (collector->keeps_ties && !roomy()) decide_ties(*collector, storage.positions);
    if (roomy()) return;
    WordBuffer larger(storage.hits.size() * 2);
    std::copy_n(collector->hits, collector->size, larger.data());
    storage.hits = std::move(larger);
    collector->hits = storage.hits.data();
    collector->capacity = static_cast<size_t>(storage.hits.size());
}

}  // namespace

GroupCollectors::GroupCollectors(const Request& request, int64_t query_count)
    : storage_(static_cast<size_t>(query_count)),
      collectors_(static_cast<size_t>(query_count)),
      buckets_(static_cast<size_t>(request.bits + 1)) {
    if (!request.keep_all) histograms_.resize(buckets_ * collectors_.size());
    for (size_t q = 0; q < collectors_.size(); ++q) {
        storage_[q] = {WordBuffer(initial_hits), request.positions};
        collectors_[q] = {request.limit,
                          static_cast<uint64_t>(request.k),
                          0,
                          !request.keep_all && request.positions != nullptr,
                          request.keep_all ? nullptr : histograms_.data() + q * buckets_,
                          storage_[q].hits.data(),
                          0,
                          initial_hits,
                          make_room,
                          &storage_[q]};
    }
}

void GroupCollectors::restart(int64_t query, uint32_t limit) {
    Collector& collector = collectors_[static_cast<size_t>(query)];
    collector.limit = limit;
    collector.below = 0;
    collector.size = 0;
    if (collector.histogram != nullptr) std::fill_n(collector.histogram, buckets_, 0U);
}

bool GroupCollectors::complete_below(int64_t query, uint32_t limit) const {
    const Collector& collector = (*this)[query];
    return collector.keeps_ties ? collector.below >= collector.k : collector.limit < limit;
}

void GroupCollectors::append_to(int64_t query, std::vector<Hit>& hits) const {
    const Collector& collector = (*this)[query];
    hits.insert(hits.end(), collector.hits, collector.hits + collector.size);
}

void sort_hits(std::vector<Hit>& hits, int64_t bits) {
    constexpr size_t counting_sort_from = 48;
    if (hits.size() < std::max(counting_sort_from, static_cast<size_t>(bits) / 8)) {
        std::sort(hits.begin(), hits.end());
        return;
    }
    std::vector<size_t> next(static_cast<size_t>(bits) + 2);
    for (const Hit hit : hits) ++next[hit_distance(hit) + 1];
    for (size_t d = 1; d < next.size(); ++d) next[d] += next[d - 1];
    std::vector<Hit> sorted(hits.size());
    for (const Hit hit : hits) sorted[next[hit_distance(hit)]++] = hit;
    hits.swap(sorted);
}

}  // namespace hashcore
