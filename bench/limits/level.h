// The loops of one instruction-set level. Every loop works in registers alone, on chains that are
// independent of each other, so that its time is the time to issue its instructions.
#pragma once
#include <cstddef>
#include <cstdint>

namespace hashcore::limits {

struct Loop {
    void (*run)(size_t iterations);
    size_t count;  // operations, or pairs of codes, of one iteration
};

struct Operation {
    const char* name;
    Loop loop;
};

struct Scan {
    size_t words;  // of a code
    Loop loop;
};

struct Level {
    const char* name;
    size_t vector_bits;
    // Logic operations of the 31 full adders that the sliced scan spends on a word of as many codes
    // as a vector has bits: two each with ternary operations, four with a bit select, else five.
    size_t sliced_operations;
    Operation operations[6];
    Scan scans[5];
    uint64_t (*sum)(const uint64_t* words, size_t count);  // count: a multiple of 64
};

inline constexpr size_t sliced_full_adders = 31;

}  // namespace hashcore::limits
