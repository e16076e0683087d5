// Scans of the buckets of a multi-index hash table: short runs of entries, most of them no hits.
#pragma once
#include "cpu/kernels/distances.inl.h"
#include "cpu/kernels/packed_words.inl.h"

namespace hashcore {
namespace {

/// Appends those of the lanes' entries, of which `count` exist, that lie below `limit`.
template <class V>
[[gnu::always_inline]] inline size_t append_below(Hit* found, typename V::Words distances,
                                                  typename V::Words limit, size_t count,
                                                  uint64_t entry) {
    unsigned hits = V::below(distances, limit);
    if (hits == 0) return 0;
    if (count < V::lanes) hits &= (1U << count) - 1U;
    V::append(found, hits, distances, entry);
    return static_cast<size_t>(__builtin_popcount(hits));
}

/// Calls scan(begin, count, base, found), which returns how many it appended, for every bucket.
template <class Scan>
[[gnu::always_inline]] inline size_t scan_each(const Bucket* buckets, size_t bucket_count,
                                               Hit* found, const Scan& scan) {
    Hit* end = found;
    for (const Bucket* bucket = buckets; bucket != buckets + bucket_count; ++bucket)
        end += scan(bucket->begin, bucket->count, bucket->base, end);
    return static_cast<size_t>(end - found);
}

template <class V>
size_t scan_word_buckets(const uint64_t* codes, const Bucket* buckets, size_t bucket_count,
                         uint64_t query, uint32_t limit, Hit* found) {
    const typename V::Words words = V::broadcast(query);
    const typename V::Words limits = V::broadcast(limit);
    return scan_each(
        buckets, bucket_count, found, [&](uint64_t begin, size_t count, uint32_t, Hit* end) {
            size_t size = 0;
            for (size_t i = 0; i < count; i += V::lanes) {
                const auto distances =
                    V::widen(V::add_bits(V::zero(), V::load(codes + begin + i), words));
                size += append_below<V>(end + size, distances, limits, count - i, begin + i);
            }
            return size;
        });
}

template <class V>
size_t scan_rest_buckets(const uint8_t* rests, size_t rest_bytes, const Bucket* buckets,
                         size_t bucket_count, uint64_t query, uint32_t limit, Hit* found) {
    const typename V::Packing packing(rest_bytes);
    const typename V::Words words = V::broadcast(query);
    const typename V::Words limits = V::broadcast(limit);
    return scan_each(
        buckets, bucket_count, found, [&](uint64_t begin, size_t count, uint32_t base, Hit* end) {
            const typename V::Words bases = V::broadcast(base);
            size_t size = 0;
            for (size_t i = 0; i < count; i += V::lanes) {
                const auto codes = V::load_packed(rests + (begin + i) * rest_bytes, packing);
                const auto bits = V::widen(V::add_bits(V::zero(), codes, words));
                size +=
                    append_below<V>(end + size, V::add(bits, bases), limits, count - i, begin + i);
            }
            return size;
        });
}

template <class V>
size_t scan_rows(const uint8_t* rows, size_t row_bytes, const uint32_t* numbers, size_t count,
                 const uint64_t* query, uint32_t limit, Hit* found) {
    const size_t whole_words = row_bytes / 8;
    const size_t tail_bytes = row_bytes % 8;
    const typename V::Words limits = V::broadcast(limit);
    size_t size = 0;
    for (size_t i = 0; i < count; i += V::lanes) {
        const uint8_t* row[V::lanes];
        for (size_t lane = 0; lane < V::lanes; ++lane)
            row[lane] = rows + size_t{numbers[i + lane < count ? i + lane : i]} * row_bytes;
        typename V::Words distances = V::broadcast(0);
        for (size_t start = 0; start < whole_words;) {
            const size_t left = whole_words - start;
            const size_t end = left < V::words_per_sum ? whole_words : start + V::words_per_sum;
            typename V::Sum sum = V::zero();
            for (; start < end; ++start) {
                const auto words =
                    V::gather([&](size_t lane) { return load_word(row[lane] + 8 * start); });
                sum = V::add_bits(sum, words, V::broadcast(query[start]));
            }
            distances = V::add(distances, V::widen(sum));
        }
        if (tail_bytes != 0) {  // the row's last eight bytes, without those counted already
            const auto words = V::gather([&](size_t lane) {
                return load_word(row[lane] + row_bytes - 8) >> (64 - 8 * tail_bytes);
            });
            const auto sum = V::add_bits(V::zero(), words, V::broadcast(query[whole_words]));
            distances = V::add(distances, V::widen(sum));
        }
        unsigned hits = V::below(distances, limits);
        if (count - i < V::lanes) hits &= (1U << (count - i)) - 1U;
        if (hits == 0) continue;
        uint32_t of_lane[codes_per_block];
        V::store(of_lane, distances);
        for (; hits != 0; hits &= hits - 1) {
            const auto lane = static_cast<size_t>(__builtin_ctz(hits));
            found[size++] = make_hit(of_lane[lane], numbers[i + lane]);
        }
    }
    return size;
}

template <class V>
size_t drop_seen(Hit* found, size_t count, const uint8_t* entries, size_t entry_bytes,
                 const uint64_t* query, const SeenKey* seen, size_t seen_count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i += V::lanes) {
        const size_t lanes = count - i < V::lanes ? count - i : V::lanes;
        const uint8_t* entry[V::lanes];
        for (size_t lane = 0; lane < V::lanes; ++lane)
            entry[lane] = entries + hit_position(found[lane < lanes ? i + lane : i]) * entry_bytes;
        unsigned fresh = (1U << lanes) - 1U;
        for (const SeenKey* key = seen; key != seen + seen_count && fresh != 0; ++key) {
            typename V::Sum sum = V::zero();  // of a key's few bits
            for (const WordMask* part = key->parts; part != key->parts + key->part_count; ++part) {
                const auto words = V::gather([&](size_t lane) {
                    return load_word(entry[lane] + 8 * part->word) & part->mask;
                });
                sum = V::add_bits(sum, words, V::broadcast(query[part->word] & part->mask));
            }
            fresh &= ~V::below(V::widen(sum), V::broadcast(key->radius + 1));
        }
        for (; fresh != 0; fresh &= fresh - 1)
            found[kept++] = found[i + static_cast<size_t>(__builtin_ctz(fresh))];
    }
    return kept;
}

}  // namespace
}  // namespace hashcore
