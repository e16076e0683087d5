// Callers beside each other, and calls that are stopped.
#include <atomic>
#include <functional>
#include <memory>
#include <numeric>
#include <thread>

#include "check.h"
#include "core/thread_pool.h"
#include "hashcore/errors.h"
#include "hashcore/index.h"
#include "hashcore/metrics.h"
#include "reference.h"
#include "temporary_folder.h"

namespace hashcore::test {
namespace {

constexpr int64_t bits = 100;

/// Given, for to find them takes a sanitized build long.
const MihParams few_tables{MihParams::Layout::fast, 4, 10, std::nullopt};

Codes random_codes(int64_t count, uint64_t seed) {
    Rng rng(seed);
    Codes centres(3, bits);
    for (int64_t i = 0; i < centres.count(); ++i) randomize_row(centres, i, rng);
    return clustered_codes(rng, centres, count, 0);
}

CodesView slice(const Codes& codes, int64_t begin, int64_t count) {
    return {codes.row(begin), count, codes.bits()};
}

/// Runs every body on a thread of its own.
void run_beside(const std::vector<std::function<void()>>& bodies) {
    std::vector<std::thread> threads;
    for (size_t i = 0; i < bodies.size(); ++i)
        threads.emplace_back([&bodies, i, name = current_case] {
            current_case = name + ", thread " + std::to_string(i);
            bodies[i]();
        });
    for (std::thread& thread : threads) thread.join();
}

struct Knn {
    Knn(int64_t queries, int64_t k)
        : distances(static_cast<size_t>(queries * k), unwritten),
          ids(distances.size(), unwritten),
          counts(static_cast<size_t>(queries), unwritten) {}
    KnnOutput out() { return {distances.data(), ids.data(), counts.data()}; }
    bool operator==(const Knn&) const = default;

    std::vector<int32_t> distances;
    std::vector<int64_t> ids, counts;
};

SearchOptions with_threads(int threads) {
    SearchOptions options;
    options.threads = threads;
    return options;
}

/// Whether one search of `index` for `query` gives what the first `size` codes hold, for one of the
/// sizes that the index had meanwhile.
bool is_answer_of_some_prefix(const Index& index, const Codes& codes, CodesView query,
                              int64_t batch, int threads) {
    constexpr int64_t k = 20;
    const int64_t size_before = index.size();
    Knn got(1, k);
    index.search(query, k, std::nullopt, with_threads(threads), got.out());
    const int64_t size_after = index.size();
    std::vector<int32_t> distances;
    for (int64_t i = 0; i < size_after; ++i)
        distances.push_back(distance(codes.row(i), query.data, bytes_per_code(bits)));
    for (int64_t size = size_before; size <= size_after; size += batch) {
        Knn expected(1, k);
        knn(slice(codes, 0, size), query, k, std::nullopt, with_threads(1), expected.out());
        if (got == expected) return true;
    }
    return false;
}

void search_while_another_adds_and_saves(const std::string& kind) {
    current_case = kind + ": search while another adds and saves";
    constexpr int64_t batch = 500, batches = 40;
    const Codes codes = random_codes(batch * batches, 1);
    const TemporaryFolder folder;
    const std::string path = folder.path("growing.hci");
    auto index = make_index(bits, kind, few_tables, 0);
    index->add(slice(codes, 0, batch), nullptr, std::vector<int64_t>(batch).data(), nullptr);
    std::atomic<bool> done{false};

    const auto add = [&] {
        std::vector<int64_t> ids(batch);
        for (int64_t i = 1; i < batches; ++i) {
            index->add(slice(codes, i * batch, batch), nullptr, ids.data(), nullptr);
            EXPECT(ids.front() == i * batch);
            EXPECT(ids.back() == (i + 1) * batch - 1);
        }
        done = true;
    };
    const auto save = [&] {
        while (!done) {
            const int64_t size_before = index->size();
            index->save(path, nullptr);
            const auto saved = load_index(path, true, true, 0, nullptr);
            EXPECT(saved->size() >= size_before && saved->size() <= index->size());
            EXPECT(saved->size() % batch == 0);
            const std::vector<int64_t> last{saved->size() - 1};
            Codes row(1, bits);
            saved->get(last.data(), 1, row.row(0));
            EXPECT(std::equal(row.row(0), row.row(1), codes.row(last[0])));
        }
    };
    const auto search = [&](int threads) {
        for (int64_t q = 0; !done; q = (q + 97) % codes.count())
            EXPECT(is_answer_of_some_prefix(*index, codes, slice(codes, q, 1), batch, threads));
    };
    run_beside({add, save, [&] { search(1); }, [&] { search(2); }, [&] { search(5); }});
    EXPECT(index->size() == codes.count());
}

void search_while_codes_come_and_go(const std::string& kind) {
    current_case = kind + ": search while codes come and go";
    constexpr int64_t staying = 3000, coming = 1000;
    const Codes codes = random_codes(staying + coming, 3);
    auto index = make_index(bits, kind, few_tables, 0);
    std::vector<int64_t> ids(staying);
    index->add(slice(codes, 0, staying), nullptr, ids.data(), nullptr);
    std::vector<int64_t> guests(coming);
    std::iota(guests.begin(), guests.end(), staying);
    std::atomic<bool> done{false};

    const auto change = [&] {
        for (int64_t round = 0; round < 30; ++round) {
            index->add(slice(codes, staying, coming), guests.data(), guests.data(), nullptr);
            EXPECT(index->remove(guests.data(), coming / 2, nullptr) == coming / 2);
            EXPECT(index->remove(guests.data(), coming, nullptr) == coming / 2);
            if (round % 3 == 0) index->compact(nullptr);
        }
        done = true;
    };
    const auto search = [&](int threads) {
        Knn got(1, 1);
        for (int64_t q = 0; !done; q = (q + 97) % staying) {
            index->search(slice(codes, q, 1), 1, std::nullopt, with_threads(threads), got.out());
            EXPECT(got.distances[0] == 0 && got.ids[0] <= q);
            const int64_t size = index->size();
            EXPECT(size == staying || size == staying + coming || size == staying + coming / 2);
            EXPECT(!index->stats().empty());
        }
    };
    run_beside({change, [&] { search(1); }, [&] { search(2); }, [&] { search(5); }});
    EXPECT(index->size() == staying);
}

void many_callers_search_at_once(const std::string& kind) {
    current_case = kind + ": many callers search at once";
    const Codes codes = random_codes(30'000, 2);
    const CodesView queries = slice(codes, 100, 70);
    const std::vector<uint32_t> classes(static_cast<size_t>(codes.count()), 3);
    const LabelledCodes labelled{slice(codes, 0, 2'000), {classes.data(), {nullptr, 0, 0}}};
    auto index = make_index(bits, kind, few_tables, 0);
    std::vector<int64_t> ids(static_cast<size_t>(codes.count()));
    index->add(codes.view(), nullptr, ids.data(), nullptr);
    Knn expected(queries.count, 10);
    index->search(queries, 10, std::nullopt, with_threads(1), expected.out());
    const RangeOutput near = index->range_search(queries, bits / 8, std::nullopt, with_threads(1));
    const std::vector<double> chance =
        evaluate(labelled, labelled, {}, with_threads(1)).ap_tie_aware;
    std::vector<int64_t> histogram(static_cast<size_t>(queries.count * (bits + 1)));
    distance_histogram(codes.view(), queries, with_threads(1), histogram.data());

    std::atomic<bool> done{false};
    const auto call = [&](int threads) {
        for (int round = 0; round < 5; ++round) {
            Knn got(queries.count, 10);
            index->search(queries, 10, std::nullopt, with_threads(threads), got.out());
            EXPECT(got == expected);
            const RangeOutput range =
                index->range_search(queries, bits / 8, std::nullopt, with_threads(threads));
            EXPECT(range.lims == near.lims && range.ids == near.ids);
            EXPECT(evaluate(labelled, labelled, {}, with_threads(threads)).ap_tie_aware == chance);
            std::vector<int64_t> counts(histogram.size(), unwritten);
            distance_histogram(codes.view(), queries, with_threads(threads), counts.data());
            EXPECT(counts == histogram);
        }
    };
    std::thread setter([&] {
        for (int threads = 1; !done; threads = threads % 6 + 1) {
            set_num_threads(threads);
            std::this_thread::yield();
        }
    });
    run_beside({[&] { call(0); }, [&] { call(1); }, [&] { call(3); }, [&] { call(8); }});
    done = true;
    setter.join();
    set_num_threads(0);
}

/// Calls `work` with a monitor whose first poll answers `poll`; true if it threw `Stop` for it.
template <class Stop>
bool is_stopped(const std::function<bool()>& poll,
                const std::function<void(const SearchOptions&)>& work) {
    bool polled = false, all_done = false;
    Monitor monitor([&](int64_t done, int64_t total) {
        polled = true;
        all_done = done == total;
        return poll();
    });
    SearchOptions options = with_threads(4);
    options.monitor = &monitor;
    try {
        work(options);
    } catch (const Stop&) {
        return polled && !all_done && monitor.stopped();
    }
    return false;
}

struct GaveUp {};

void a_stop_ends_a_search_and_leaves_the_rest_alone() {
    current_case = "stop";
    force_isa("portable");  // seconds of work at any level would do; here there are some
    const Codes codes = random_codes(100'000, 3);
    auto index = make_index(bits, "flat", {}, 0);
    std::vector<int64_t> ids(static_cast<size_t>(codes.count()));
    index->add(codes.view(), nullptr, ids.data(), nullptr);
    const std::vector<uint32_t> classes(ids.size(), 1);
    const LabelledCodes labelled{codes.view(), {classes.data(), {nullptr, 0, 0}}};
    Knn got(codes.count(), 5);

    const std::vector<std::function<void(const SearchOptions&)>> calls{
        [&](const SearchOptions& options) {
            index->search(codes.view(), 5, std::nullopt, options, got.out());
        },
        [&](const SearchOptions& options) {
            knn(codes.view(), codes.view(), 5, std::nullopt, options, got.out());
        },
        [&](const SearchOptions& options) {
            index->range_search(codes.view(), 3, std::nullopt, options);
        },
        [&](const SearchOptions& options) { evaluate(labelled, labelled, {}, options); },
    };
    for (const auto& call : calls) {
        EXPECT(is_stopped<Cancelled>([] { return false; }, call));
        EXPECT(is_stopped<GaveUp>([]() -> bool { throw GaveUp(); }, call));
    }
    Knn after(1, 1);
    index->search(slice(codes, 9, 1), 1, std::nullopt, with_threads(2), after.out());
    EXPECT(after.distances[0] == 0);
    force_isa("");
}

void parallel_for_may_nest_and_share() {
    current_case = "parallel_for";
    const auto nested = [](int64_t outer, int64_t inner, int threads) {
        std::atomic<int64_t> sum{0};
        parallel_for(outer, threads, nullptr, [&](int64_t i) {
            parallel_for(inner, threads, nullptr, [&](int64_t j) { sum += i * inner + j; });
        });
        const int64_t tasks = outer * inner;
        return sum == tasks * (tasks - 1) / 2;
    };
    const auto call = [&](int threads) {
        for (int64_t round = 0; round < 40; ++round) EXPECT(nested(round, 40 - round, threads));
    };
    run_beside({[&] { call(1); }, [&] { call(2); }, [&] { call(5); }, [&] { call(8); }});
    parallel_for(0, 4, nullptr, [](int64_t) { EXPECT(false); });
}

void an_exception_of_a_task_reaches_its_own_caller() {
    current_case = "exceptions";
    const auto call = [](int64_t bad) {
        for (int round = 0; round < 100; ++round) {
            std::atomic<int64_t> ran{0};
            try {
                parallel_for(64, 4, nullptr, [&](int64_t task) {
                    ++ran;
                    if (task == bad) throw bad;
                });
                EXPECT(bad >= 64 && ran == 64);
            } catch (int64_t caught) {
                EXPECT(caught == bad && ran <= 64);
            }
        }
    };
    run_beside({[&] { call(0); }, [&] { call(7); }, [&] { call(63); }, [&] { call(64); }});
}

int run() {
    for (const char* kind : {"flat", "mih"}) {
        search_while_another_adds_and_saves(kind);
        search_while_codes_come_and_go(kind);
        many_callers_search_at_once(kind);
    }
    parallel_for_may_nest_and_share();
    an_exception_of_a_task_reaches_its_own_caller();
    a_stop_ends_a_search_and_leaves_the_rest_alone();
    std::cout << "callers do not disturb each other\n";
    return 0;
}

}  // namespace
}  // namespace hashcore::test

int main() {
    return hashcore::test::run();
}
