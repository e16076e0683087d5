#pragma once
#include <stdexcept>

namespace hashcore {

/// A file that is truncated, damaged, foreign or of an unknown version. The message says what and
/// where.
class FormatError : public std::invalid_argument {
    using std::invalid_argument::invalid_argument;
};

/// Thrown out of a long call after its Monitor asked to stop.
class Cancelled : public std::runtime_error {
 public:
    Cancelled() : std::runtime_error("cancelled") {}
};

}  // namespace hashcore
