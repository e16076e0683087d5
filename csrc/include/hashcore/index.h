#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "hashcore/mih.h"
#include "hashcore/search.h"

namespace hashcore {

/// Named facts about an index, in the order to show them.
using StatValue = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>>;
using Stats = std::vector<std::pair<std::string, StatValue>>;

/// An exact index over packed codes with int64 ids. Thread-safe: searches run beside each other,
/// changes run alone and before searches that come later.
class Index {
 public:
    virtual ~Index() = default;

    virtual std::string kind() const = 0;
    virtual int64_t bits() const = 0;
    virtual int64_t size() const = 0;
    virtual int64_t bytes_in_memory() const = 0;  ///< heap, mapped and borrowed, codes and ids
    virtual bool mapped() const = 0;              ///< true while it reads straight from its file

    /// kind, bits, codes, removed and delta (codes that compact() has work with), bytes,
    /// bytes_per_code, mapped, and what the kind adds.
    virtual Stats stats() const = 0;

    /// Adds codes under `ids`, or under the ids after the highest one when `ids` is null, and
    /// writes them to `out_ids` [codes.count]. On any error nothing has been added.
    virtual void add(CodesView codes, const int64_t* ids, int64_t* out_ids, Monitor* monitor) = 0;

    /// Removes codes and returns how many were there. A removed id may be added again. On any error
    /// nothing has been removed.
    virtual int64_t remove(const int64_t* ids, int64_t count, Monitor* monitor) = 0;

    /// Rewrites the index without removed codes and without a delta. Ids stay. On any error the
    /// index is as before.
    virtual void compact(Monitor* monitor) = 0;

    virtual void search(CodesView queries, int64_t k, std::optional<int64_t> max_distance,
                        const SearchOptions& options, KnnOutput out) const = 0;
    virtual RangeOutput range_search(CodesView queries, int64_t radius,
                                     std::optional<int64_t> max_results,
                                     const SearchOptions& options) const = 0;

    virtual bool contains(int64_t id) const = 0;
    virtual std::vector<int64_t> all_ids() const = 0;  ///< ascending
    /// Writes the codes of `ids` to `out` [count, bytes_per_code(bits)]. Throws std::out_of_range
    /// for an id that is not there.
    virtual void get(const int64_t* ids, int64_t count, uint8_t* out) const = 0;

    /// Atomic: a kill at any moment leaves the old file or the new one, and perhaps a
    /// "<path>.tmp-<number>" that nothing reads.
    virtual void save(const std::string& path, Monitor* monitor) const = 0;
};

/// `kind` is "flat", "mih" or "auto", which takes what is expected to be fastest; `params` are for
/// the latter two. Throws std::invalid_argument for an unknown kind or an impossible number.
std::unique_ptr<Index> make_index(int64_t bits, const std::string& kind, const MihParams& params,
                                  int threads);

/// A flat index over rows in the caller's memory, which are never written and which `owner` keeps
/// alive; `ids` [codes.count] ascend and are copied, null means 0, 1, 2, ... Throws
/// std::invalid_argument for ids in another order.
std::unique_ptr<Index> borrow_codes(CodesView codes, const int64_t* ids,
                                    std::shared_ptr<const void> owner, int threads);

/// Writes the file of an index of these codes, which are read where they are, several times, while
/// about `memory` bytes are held. `ids` [codes.count] ascend; null means 0, 1, 2, ... What an error
/// or a kill leaves in "<path>.building" is taken up by the next call with the same codes and
/// parameters. Throws as make_index() and Index::save do, and std::system_error with EBUSY while
/// another process builds that file.
void build_index_file(const std::string& path, const std::string& kind, CodesView codes,
                      const int64_t* ids, const MihParams& params, std::optional<int64_t> memory,
                      int threads, Monitor* monitor);

/// Reads a file that Index::save wrote. With `map` the codes stay in the file. Throws FormatError
/// for anything that is not such a file, std::system_error where the system refuses.
std::unique_ptr<Index> load_index(const std::string& path, bool map, bool verify, int threads,
                                  Monitor* monitor);

}  // namespace hashcore
