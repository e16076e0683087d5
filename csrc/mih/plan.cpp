#include "mih/plan.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>

namespace hashcore {
namespace {

// Measured on one machine with AVX-512. Only which way a search goes depends on them.
constexpr double lookup_ns = 9;   // a key's range, from a directory larger than the caches
constexpr double bucket_ns = 22;  // the first entries of a bucket that is not empty
constexpr double word_ns = 0.5;   // an entry, by kind
constexpr double rest_ns = 0.9;
constexpr double row_ns = 14;        // a random row
constexpr double row_word_ns = 1.5;  // and each of its words
constexpr double near_ns = 30;       // an entry that may be a hit
constexpr double read_byte_ns = 0.1;
constexpr double decode_ns = 5;           // of a rest to a code
constexpr double scanned_key_ns = 8;      // a bucket of the first table
constexpr double counted_word_ns = 0.12;  // a scan's comparison, a word
constexpr double sliced_word_ns = 0.045;  // the same of many queries
constexpr int64_t min_sliced_queries = 24;

double entry_nanoseconds(const MihPlan& plan) {
    switch (plan.entry) {
        case MihEntry::word:
            return word_ns;
        case MihEntry::rest:
            return rest_ns;
        case MihEntry::position:
            break;
    }
    return row_ns + row_word_ns * static_cast<double>(words_per_code(plan.bits));
}

MihEntry entry_for(int64_t bits, MihParams::Layout layout) {
    if (bits > 64) return MihEntry::position;
    return layout == MihParams::Layout::fast ? MihEntry::word : MihEntry::rest;
}

/// Keys of `widths` bits, in order of position.
std::vector<std::vector<uint32_t>> in_order(const std::vector<int64_t>& widths, int64_t bits) {
    std::vector<std::vector<uint32_t>> keys;
    const auto tables = static_cast<int64_t>(widths.size());
    for (int64_t j = 0; j < tables; ++j) {
        std::vector<uint32_t> key(static_cast<size_t>(widths[static_cast<size_t>(j)]));
        std::iota(key.begin(), key.end(), static_cast<uint32_t>(bits * j / tables));
        keys.push_back(std::move(key));
    }
    return keys;
}

/// The bits of a sample, one plane a bit.
class BitPlanes {
 public:
    explicit BitPlanes(CodesView codes)
        : codes_(codes.count), words_((codes.count + 63) / 64), bits_(codes.bits) {
        planes_.resize(static_cast<size_t>(bits_ * words_));
        const int64_t row_bytes = bytes_per_code(bits_);
        for (int64_t row = 0; row < codes_; ++row)
            for (int64_t bit = 0; bit < bits_; ++bit) {
                const uint64_t set = codes.data[row * row_bytes + bit / 8] >> (7 - bit % 8) & 1;
                planes_[static_cast<size_t>(bit * words_ + row / 64)] |= set << (row % 64);
            }
    }

    double share(int64_t bit) const { return static_cast<double>(both(bit, bit)) / count(); }

    /// Pearson's correlation of two bits; 1 where one is constant.
    double correlation(int64_t a, int64_t b) const {
        const double p = share(a), q = share(b);
        const double spread = p * (1 - p) * q * (1 - q);
        if (spread <= 0) return 1;
        return (static_cast<double>(both(a, b)) / count() - p * q) / std::sqrt(spread);
    }

 private:
    double count() const { return static_cast<double>(codes_); }
    int64_t both(int64_t a, int64_t b) const {
        const uint64_t* x = planes_.data() + a * words_;
        const uint64_t* y = planes_.data() + b * words_;
        int64_t sum = 0;
        for (int64_t w = 0; w < words_; ++w) sum += std::popcount(x[w] & y[w]);
        return sum;
    }

    int64_t codes_, words_, bits_;
    std::vector<uint64_t> planes_;
};

/// Whether bits are so nearly fair and independent that any choice is as good as another.
bool looks_uniform(const BitPlanes& planes, const std::vector<int64_t>& bits) {
    constexpr double small = 0.1;
    for (size_t i = 0; i < bits.size(); ++i) {
        if (std::abs(planes.share(bits[i]) - 0.5) > small / 2) return false;
        const int64_t next = bits[(i + 1) % bits.size()];
        if (next != bits[i] && std::abs(planes.correlation(bits[i], next)) > small) return false;
    }
    return true;
}

/// Deals the most balanced bits out, each to the key whose bits it correlates with least.
std::vector<std::vector<uint32_t>> dealt(const std::vector<int64_t>& widths, CodesView sample) {
    const BitPlanes planes(sample);
    std::vector<int64_t> order(static_cast<size_t>(sample.bits));
    std::iota(order.begin(), order.end(), int64_t{0});
    std::vector<double> imbalance;
    for (const int64_t bit : order) imbalance.push_back(std::abs(planes.share(bit) - 0.5));
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
        return imbalance[static_cast<size_t>(a)] < imbalance[static_cast<size_t>(b)];
    });
    if (looks_uniform(planes, order)) return in_order(widths, sample.bits);
    order.resize(static_cast<size_t>(std::accumulate(widths.begin(), widths.end(), int64_t{0})));

    std::vector<std::vector<uint32_t>> keys(widths.size());
    for (const int64_t bit : order) {
        size_t best = widths.size();
        double least = std::numeric_limits<double>::infinity();
        for (size_t j = 0; j < keys.size(); ++j) {
            if (static_cast<int64_t>(keys[j].size()) == widths[j]) continue;
            double strongest = 0;
            for (const uint32_t other : keys[j])
                strongest = std::max(strongest, std::abs(planes.correlation(bit, other)));
            const bool emptier = best < keys.size() && keys[j].size() < keys[best].size();
            if (strongest < least || (strongest == least && emptier)) {
                least = strongest;
                best = j;
            }
        }
        keys[best].push_back(static_cast<uint32_t>(bit));
    }
    for (auto& key : keys) std::sort(key.begin(), key.end());
    return keys;
}

std::vector<int64_t> key_widths(int64_t bits, int64_t tables, int64_t most) {
    std::vector<int64_t> widths;
    for (int64_t j = 0; j < tables; ++j)
        widths.push_back(std::min(most, bits * (j + 1) / tables - bits * j / tables));
    return widths;
}

}  // namespace

double binomial(int64_t n, int64_t k) {
    if (k < 0 || k > n) return 0;
    double result = 1;
    for (int64_t i = 1; i <= k; ++i)
        result = result * static_cast<double>(n - k + i) / static_cast<double>(i);
    return result;
}

int64_t MihPlan::entry_bytes(int64_t table) const {
    switch (entry) {
        case MihEntry::word:
            return 8;
        case MihEntry::rest:
            return std::max<int64_t>(1, (bits - key_width(table) + 7) / 8);
        case MihEntry::position:
            break;
    }
    return 0;
}

std::vector<uint32_t> MihPlan::rest_bits(int64_t table) const {
    const std::vector<uint32_t>& key = key_bits[static_cast<size_t>(table)];
    std::vector<uint32_t> rest;
    for (uint32_t bit = 0; bit < static_cast<uint32_t>(bits); ++bit)
        if (!std::binary_search(key.begin(), key.end(), bit)) rest.push_back(bit);
    return rest;
}

double MihPlan::bytes(int64_t count) const {
    const auto codes = static_cast<double>(count);
    double sum =
        entry == MihEntry::position ? codes * static_cast<double>(bytes_per_code(bits)) : 0;
    for (int64_t j = 0; j < tables(); ++j)
        sum += static_cast<double>(keys(j) + 1) * sizeof(uint32_t) +
               codes * (static_cast<double>(entry_bytes(j)) + sizeof(uint32_t));
    return sum;
}

double work_nanoseconds(const MihPlan& plan, double lookups, double filled_buckets, double entries,
                        double near) {
    return lookups * lookup_ns + filled_buckets * bucket_ns + entries * entry_nanoseconds(plan) +
           near * near_ns;
}

double step_nanoseconds(const MihPlan& plan, int64_t table, int64_t key_distance,
                        double codes_a_bucket) {
    const double lookups = binomial(plan.key_width(table), key_distance);
    const double filled = 1 - std::exp(-codes_a_bucket);
    return work_nanoseconds(plan, lookups, lookups * filled, lookups * codes_a_bucket, 0);
}

double scan_nanoseconds(const MihPlan& plan, int64_t count, int64_t queries) {
    const auto codes = static_cast<double>(count);
    if (plan.entry == MihEntry::rest && queries == 1)
        return codes * rest_ns + static_cast<double>(plan.keys(0)) * scanned_key_ns;
    const auto bytes = static_cast<double>(bytes_per_code(plan.bits));
    const auto words = static_cast<double>(words_per_code(plan.bits));
    const double a_code = plan.entry == MihEntry::rest ? decode_ns : bytes * read_byte_ns;
    const double read = a_code / static_cast<double>(std::max<int64_t>(1, queries));
    const bool sliced = queries >= min_sliced_queries;
    return codes * (read + words * (sliced ? sliced_word_ns : counted_word_ns));
}

MihCost expected_cost(const MihPlan& plan, int64_t count, int64_t radius) {
    MihCost cost;
    std::vector<int64_t> next(
        static_cast<size_t>(plan.tables()));  // key distance of a table's next step
    for (int64_t reached = -1; reached < radius; ++reached) {
        int64_t best = 0;
        double least = std::numeric_limits<double>::infinity();
        for (int64_t j = 0; j < plan.tables(); ++j) {
            const double filling = static_cast<double>(count) / static_cast<double>(plan.keys(j));
            const double step = step_nanoseconds(plan, j, next[static_cast<size_t>(j)], filling);
            if (step < least) {
                least = step;
                best = j;
            }
        }
        int64_t& distance = next[static_cast<size_t>(best)];
        const double lookups = binomial(plan.key_width(best), distance);
        cost.lookups += lookups;
        cost.candidates +=
            lookups * static_cast<double>(count) / static_cast<double>(plan.keys(best));
        cost.nanoseconds += least;
        if (distance++ == plan.key_width(best)) break;  // that table has been read wholly
    }
    return cost;
}

void deal_keys(MihPlan& plan, CodesView sample) {
    constexpr int64_t telling = 256;
    if (sample.count < telling) return;
    std::vector<int64_t> widths;
    for (const auto& key : plan.key_bits) widths.push_back(static_cast<int64_t>(key.size()));
    plan.key_bits = dealt(widths, sample);
}

/// Directories, which do not grow with the codes, have room in a twentieth more below that many.
double compact_bytes(int64_t bits, int64_t count) {
    constexpr int64_t many = 50'000'000;
    constexpr double tiny = 4096;
    const double a_code = std::max(20.0, 2.5 * static_cast<double>(bytes_per_code(bits)));
    return a_code * (count < many ? 1.05 : 1.0) * static_cast<double>(count) + tiny;
}

MihPlan plan_mih(int64_t bits, int64_t count, int64_t radius, CodesView sample,
                 const MihParams& params) {
    const double most_bytes = params.layout == MihParams::Layout::compact
                                  ? compact_bytes(bits, count)
                                  : std::numeric_limits<double>::infinity();
    MihPlan best, smallest;
    double least = std::numeric_limits<double>::infinity();
    double smallest_bytes = std::numeric_limits<double>::infinity();
    const int64_t few = params.tables.value_or(1);
    const int64_t many = params.tables.value_or(std::min(bits, max_mih_tables));
    for (int64_t tables = few; tables <= many; ++tables) {
        const int64_t widest = std::min((bits + tables - 1) / tables, max_key_bits);
        for (int64_t most = 1; most <= widest; ++most) {
            MihPlan plan{bits, params.layout, radius, entry_for(bits, params.layout),
                         in_order(key_widths(bits, tables, most), bits)};
            const double bytes = plan.bytes(count);
            if (bytes < smallest_bytes) {
                smallest_bytes = bytes;
                smallest = plan;
            }
            if (bytes > most_bytes) continue;
            if (params.memory_budget && bytes > static_cast<double>(*params.memory_budget))
                continue;
            // A plan of twice the memory has to be 1.4 times as fast.
            const double cost = expected_cost(plan, count, radius).nanoseconds * std::sqrt(bytes);
            if (cost >= least) continue;
            least = cost;
            best = std::move(plan);
        }
    }
    if (params.memory_budget && smallest_bytes > static_cast<double>(*params.memory_budget))
        throw std::invalid_argument(
            "memory_budget: " + std::to_string(count) + " codes of " + std::to_string(bits) +
            " bits take at least " + std::to_string(static_cast<int64_t>(smallest_bytes)) +
            " bytes as kind 'mih'; got " + std::to_string(*params.memory_budget) +
            ". Use layout='compact', fewer tables or kind='flat'.");
    if (best.key_bits.empty()) best = std::move(smallest);
    deal_keys(best, sample);
    return best;
}

}  // namespace hashcore
