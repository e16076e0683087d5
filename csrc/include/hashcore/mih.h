#pragma once
#include <cstdint>
#include <optional>

namespace hashcore {

/// How to build an exact multi-index hash. What is not given is chosen by estimated search cost.
struct MihParams {
    /// Tables that hold the codes where they are narrow, for most speed; or such as take at most 20
    /// bytes and 2.5 times the code, but for small indexes.
    enum class Layout { fast = 0, compact = 1 };
    Layout layout = Layout::fast;
    std::optional<int64_t> tables;         ///< 1..32
    std::optional<int64_t> radius;         ///< distance out to which searches should be fast
    std::optional<int64_t> memory_budget;  ///< bytes that the index may take
};

}  // namespace hashcore
