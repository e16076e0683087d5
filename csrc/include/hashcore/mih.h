#pragma once
#include <cstdint>
#include <optional>

namespace hashcore {

/// How to build an exact multi-index hash. What is not given is chosen by estimated search cost.
struct MihParams {
    enum class Layout {
        fast = 0,  ///< tables hold the codes where they are narrow: most speed
        compact =
            1,  ///< at most the larger of 21 bytes and 2.625 times the code, but for tiny indexes
    };
    Layout layout = Layout::fast;
    std::optional<int64_t> tables;         ///< 1..32
    std::optional<int64_t> radius;         ///< distance out to which searches should be fast
    std::optional<int64_t> memory_budget;  ///< bytes that the index may take
};

}  // namespace hashcore
