#include "cpu/scan_pass.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include "cpu/dispatch.h"

namespace hashcore {
namespace {

constexpr int64_t words_between_checks = 1 << 20;
constexpr int64_t min_sliced_queries = 24;  // tabulating a slice costs about so many
constexpr int64_t run_codes = 64;           // neighbours that are sampled together

/// Codes to sample for the k nearest of `codes`: every one sampled costs a little, and every one
/// too few lets k / sample more codes pass as hits at first.
int64_t sample_size(int64_t k, int64_t codes) {
    constexpr int64_t least = 256;
    constexpr int64_t most = 8192;
    const int64_t wanted = std::clamp(k > most ? most : 32 * k, least, most);
    return std::min(wanted, codes / 16) / run_codes * run_codes;
}

}  // namespace

ScanPass::ScanPass(const FilteredSource& source, const ScanPlan::Task& task,
                   const uint64_t* queries, const Request& request, Monitor* monitor,
                   GroupCollectors& collectors)
    : source_(source),
      task_(task),
      queries_(queries),
      request_(request),
      monitor_(monitor),
      collectors_(collectors),
      words_(source.words()) {}

void ScanPass::run() {
    const std::vector<uint32_t> guesses = guess_limits();
    const auto guessed = static_cast<int64_t>(guesses.size());
    for (int64_t q = 0; q < guessed; ++q) collectors_.restart(q, guesses[static_cast<size_t>(q)]);
    scan(queries_, task_.queries, collectors_.data());

    // Fewer than k hits say that the guess was too low, unless it was the request's own limit.
    // Those queries make a second pass together.
    std::vector<int64_t> failed;
    std::vector<uint64_t> words;
    std::vector<Collector> again;
    for (int64_t q = 0; q < guessed; ++q) {
        const uint32_t guess = guesses[static_cast<size_t>(q)];
        if (guess == request_.limit || collectors_.complete_below(q, guess)) continue;
        collectors_.restart(q, request_.limit);
        failed.push_back(q);
        words.insert(words.end(), queries_ + q * words_, queries_ + (q + 1) * words_);
        again.push_back(collectors_[q]);
    }
    if (failed.empty()) return;
    scan(words.data(), static_cast<int64_t>(failed.size()), again.data());
    for (size_t i = 0; i < failed.size(); ++i) collectors_.data()[failed[i]] = again[i];
}

void ScanPass::scan(const uint64_t* queries, int64_t query_count, Collector* collectors) {
    const KernelTable& table = kernels();
    const int64_t step = source_.tile_codes();
    const int64_t end = task_.first_code + task_.codes;
    const bool sliced = query_count >= min_sliced_queries && source_.can_be_sliced();
    if (sliced) {
        sliced_queries_.resize(static_cast<size_t>(query_count * words_));
        table.slice_queries(queries, static_cast<size_t>(query_count), static_cast<size_t>(words_),
                            sliced_queries_.data());
        sliced_scratch_ = WordBuffer(words_ * static_cast<int64_t>(table.sliced_table_words));
    }
    int64_t unreported = 0;
    for (int64_t begin = task_.first_code; begin < end; begin += step) {
        const int64_t count = std::min(step, end - begin);
        const Tile tile = source_.tile(begin, count, scratch_);
        const auto offered = static_cast<size_t>(tile.count);
        size_t done = 0;
        if (sliced)
            done = table.scan_sliced(tile.blocks, offered, static_cast<size_t>(words_), queries,
                                     sliced_queries_.data(), static_cast<size_t>(query_count),
                                     static_cast<uint64_t>(begin), tile.allowed, collectors,
                                     sliced_scratch_.data());
        if (done < offered)
            table.scan(tile.blocks + done * static_cast<size_t>(words_), offered - done,
                       static_cast<size_t>(words_), queries, static_cast<size_t>(query_count),
                       static_cast<uint64_t>(begin) + done,
                       tile.allowed == nullptr ? nullptr : tile.allowed + done / codes_per_block,
                       collectors);
        unreported += count * query_count;
        if (monitor_ != nullptr && unreported * words_ >= words_between_checks)
            monitor_->advance(std::exchange(unreported, 0));
    }
    if (monitor_ != nullptr) monitor_->advance(unreported);
}

/// A limit a query that a sample of the codes says will leave at least k hits; empty where starting
/// from the request's limit is as cheap.
std::vector<uint32_t> ScanPass::guess_limits() {
    const int64_t codes = source_.allowed_in(task_.first_code, task_.codes);
    const int64_t size = sample_size(request_.k, codes);
    const bool worthwhile = !request_.keep_all && size > 0 && request_.k <= codes / 4;
    if (!worthwhile) return {};

    const int64_t buckets = request_.bits + 1;
    std::vector<uint32_t> counts(static_cast<size_t>(task_.queries * buckets));
    const int64_t seen = sample(size / run_codes, counts);
    const double expected =
        static_cast<double>(request_.k) * static_cast<double>(seen) / static_cast<double>(codes);
    const auto wanted = static_cast<uint32_t>(expected + 4.0 * std::sqrt(expected) + 4.0);
    std::vector<uint32_t> limits;
    for (int64_t q = 0; q < task_.queries; ++q) {
        const uint32_t* row = counts.data() + q * buckets;
        uint32_t limit = 0;
        for (uint32_t nearer = 0; nearer < wanted && limit < request_.limit; ++limit)
            nearer += row[limit];
        limits.push_back(limit);
    }
    return limits;
}

/// Adds the distances of evenly spread runs to `counts` [queries, bits + 1]; returns how many codes
/// of them are allowed.
int64_t ScanPass::sample(int64_t runs, std::vector<uint32_t>& counts) {
    const KernelTable& table = kernels();
    const int64_t stride = task_.codes / runs / block_codes * block_codes;
    const int64_t buckets = request_.bits + 1;
    std::array<uint32_t, run_codes> distances;
    int64_t seen = 0;
    for (int64_t run = 0; run < runs; ++run) {
        const int64_t begin = task_.first_code + run * stride;
        const Tile tile = source_.tile(begin, run_codes, scratch_);
        if (tile.count == 0) continue;
        uint64_t allowed = ~uint64_t{0};
        if (tile.allowed != nullptr) std::memcpy(&allowed, tile.allowed, sizeof allowed);
        seen += std::popcount(allowed);
        for (int64_t q = 0; q < task_.queries; ++q) {
            table.distances(tile.blocks, run_codes / codes_per_block, static_cast<size_t>(words_),
                            queries_ + q * words_, distances.data());
            uint32_t* row = counts.data() + q * buckets;
            for (size_t i = 0; i < run_codes; ++i)
                row[distances[i]] += static_cast<uint32_t>(allowed >> i & 1);
        }
    }
    return seen;
}

}  // namespace hashcore
