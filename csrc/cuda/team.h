// Work that threads share in phases, written once for the blocks of a GPU and for tests on the
// host. A Team offers:
//
//   int size() const           its threads, a power of two
//   void each(n, body)         body(i) for 0 <= i < n in any order; all of them are done then
//   void barrier()             what was written before is seen after
//   void* room()               16 bytes a thread, for one call below at a time
//   int add(int*, int)         atomic; what was there
//   void keep_least(uint64_t*, uint64_t)    atomic
//
// Every thread runs the code between phases, and finds the same there.
#pragma once
#include <cstdint>

#include "core/anywhere.h"

namespace hashcore::cuda {

inline constexpr int64_t room_a_thread = 16;

/// Joins zero and term(i) for 0 <= i < n, always in the same order.
template <class T, class Team, class Term, class Join>
HASHCORE_ANYWHERE T reduce(Team& team, int64_t n, T zero, const Term& term, const Join& join) {
    static_assert(sizeof(T) <= room_a_thread);
    T* room = static_cast<T*>(team.room());
    const int threads = team.size();
    team.each(threads, [&](int64_t thread) {
        T own = zero;
        for (int64_t i = thread; i < n; i += threads) own = join(own, term(i));
        room[thread] = own;
    });
    for (int half = threads / 2; half > 0; half /= 2)
        team.each(half, [&](int64_t i) { room[i] = join(room[i], room[i + half]); });
    const T all = room[0];
    team.barrier();
    return all;
}

template <class T, class Team, class Term>
HASHCORE_ANYWHERE T sum(Team& team, int64_t n, const Term& term) {
    return reduce(team, n, T{}, term, [](const T& a, const T& b) { return a + b; });
}

/// at(i) becomes the join of zero and at(0) .. at(i), for 0 <= i < n.
template <class T, class Team, class At, class Join>
HASHCORE_ANYWHERE void scan(Team& team, int64_t n, T zero, const At& at, const Join& join) {
    static_assert(2 * sizeof(T) <= room_a_thread);
    const int threads = team.size();
    const int64_t part = (n + threads - 1) / threads;
    const auto for_part = [&](int64_t thread, T own, bool store) {
        const int64_t end = (thread + 1) * part < n ? (thread + 1) * part : n;
        for (int64_t i = thread * part; i < end; ++i) {
            own = join(own, at(i));
            if (store) at(i) = own;
        }
        return own;
    };
    T* totals = static_cast<T*>(team.room());
    T* next = totals + threads;
    team.each(threads, [&](int64_t thread) { totals[thread] = for_part(thread, zero, false); });
    for (int distance = 1; distance < threads; distance *= 2) {
        team.each(threads, [&](int64_t thread) {
            next[thread] = thread < distance ? totals[thread]
                                             : join(totals[thread - distance], totals[thread]);
        });
        T* const swapped = totals;
        totals = next;
        next = swapped;
    }
    team.each(threads, [&](int64_t thread) {
        for_part(thread, thread == 0 ? zero : totals[thread - 1], true);
    });
}

/// The power of two that `sort` needs room for.
HASHCORE_ANYWHERE inline int64_t sorted_size(int64_t n) {
    int64_t size = 1;
    while (size < n) size *= 2;
    return size;
}

/// Sorts keys [sorted_size(n)], of which the first n count: ascending, by a bitonic network.
template <class Team>
HASHCORE_ANYWHERE void sort(Team& team, uint64_t* keys, int64_t n) {
    const int64_t size = sorted_size(n);
    team.each(size - n, [&](int64_t i) { keys[n + i] = ~uint64_t{0}; });
    for (int64_t run = 2; run <= size; run *= 2)
        for (int64_t step = run / 2; step > 0; step /= 2)
            team.each(size / 2, [&](int64_t pair) {
                const int64_t low = 2 * pair - (pair & (step - 1));
                const uint64_t a = keys[low], b = keys[low + step];
                if ((a > b) != ((low & run) == 0)) return;
                keys[low] = b;
                keys[low + step] = a;
            });
}

}  // namespace hashcore::cuda
