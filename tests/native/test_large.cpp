// Building with positions of all 32 bits: as many codes as a multi-index hash can number, zeros but
// for a few. Two passes over them take half a minute, so that it runs where as many seconds are
// given.
#include <sys/mman.h>

#include <array>
#include <new>

#include "check.h"
#include "mih/build.h"

namespace hashcore::test {
namespace {

constexpr int skipped = 77;

/// Zeros that take no memory until they are written to.
class SparseRows {
 public:
    explicit SparseRows(int64_t count)
        : size_(static_cast<size_t>(count)),
          data_(mmap(nullptr, size_, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {
        if (data_ == MAP_FAILED) throw std::bad_alloc();
    }
    ~SparseRows() { munmap(data_, size_); }
    SparseRows(const SparseRows&) = delete;
    SparseRows& operator=(const SparseRows&) = delete;

    uint8_t* data() { return static_cast<uint8_t*>(data_); }

 private:
    size_t size_;
    void* data_;
};

void the_last_entries_of_all_that_there_can_be() {
    constexpr int64_t count = max_mih_codes;
    constexpr int64_t slice = 6;
    SparseRows rows(count);
    struct Planted {
        int64_t position;
        uint8_t code;
    };
    // The key is the upper half of a code, the entry keeps the lower one, both with bits turned.
    for (const auto& [position, code] :
         {Planted{5, 0x81}, {int64_t{1} << 31, 0xC4}, {count - 2, 0x82}, {count - 1, 0xC8}})
        rows.data()[position] = code;
    MihPlan plan;
    plan.bits = 8;
    plan.entry = MihEntry::rest;
    plan.key_bits = {{0, 1, 2, 3}};

    MihTableBuilder builder(plan, 0, {rows.data(), count, 8}, 0, nullptr);
    constexpr uint32_t zeros = count - 4;
    const auto& starts = builder.starts();
    EXPECT(starts.size() == 17 && starts[0] == 0 && starts[1] == zeros);
    EXPECT(starts[2] == zeros + 2 && starts[3] == zeros + 2 && starts[4] == zeros + 4);
    EXPECT(starts[16] == count);

    std::array<uint8_t, slice> entries{};
    std::array<uint32_t, slice> positions{};
    builder.fill(count - slice, count, entries.data(), positions.data());
    EXPECT((entries == std::array<uint8_t, slice>{0, 0, 0x8, 0x4, 0x2, 0x1}));
    EXPECT((positions == std::array<uint32_t, slice>{count - 4, count - 3, 5, count - 2,
                                                     uint32_t{1} << 31, count - 1}));
}

int run(const Budget& budget) {
    if (budget.seconds() < 30) {
        std::cout << "skipped: takes half a minute; asked for " << budget.seconds() << " seconds\n";
        return skipped;
    }
    current_case = "4,294,967,295 codes";
    the_last_entries_of_all_that_there_can_be();
    std::cout << "positions take all 32 bits\n";
    return 0;
}

}  // namespace
}  // namespace hashcore::test

int main(int argc, char** argv) {
    return hashcore::test::run(hashcore::test::Budget(argc, argv));
}
