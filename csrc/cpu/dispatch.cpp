#include "cpu/dispatch.h"

#include <atomic>
#include <cstdlib>
#include <stdexcept>

#include "hashcore/runtime.h"

namespace hashcore {

#define HASHCORE_ISA_LEVEL(name, supported) extern const KernelTable kernels_##name;
#include "isa_levels.inc"
#undef HASHCORE_ISA_LEVEL

namespace {

struct Level {
    const KernelTable* table;
    bool supported;
};

const std::vector<Level>& levels() {
    static const std::vector<Level> all = {
#define HASHCORE_ISA_LEVEL(name, supported) {&kernels_##name, supported},
#include "isa_levels.inc"
#undef HASHCORE_ISA_LEVEL
    };
    return all;
}

std::vector<std::string> names(bool only_supported) {
    std::vector<std::string> result;
    for (const Level& level : levels())
        if (level.supported || !only_supported) result.emplace_back(level.table->name);
    return result;
}

const KernelTable& find_level(const std::string& name, const char* asked_by) {
    for (const Level& level : levels())
        if (level.supported && name == level.table->name) return *level.table;
    std::string message = std::string(asked_by) + ": this CPU has no level '" + name + "'; it has:";
    for (const std::string& known : names(true)) message += ' ' + known;
    throw std::invalid_argument(message);
}

const KernelTable& automatic_level() {
    const char* forced = std::getenv("HASHCORE_ISA");
    if (forced != nullptr && *forced != '\0') return find_level(forced, "HASHCORE_ISA");
    const KernelTable* best = nullptr;
    for (const Level& level : levels())
        if (level.supported) best = level.table;
    return *best;  // "portable" is always there
}

std::atomic<const KernelTable*> current{nullptr};

}  // namespace

const KernelTable& kernels() {
    const KernelTable* table = current.load(std::memory_order_acquire);
    if (table == nullptr) {
        table = &automatic_level();
        current.store(table, std::memory_order_release);
    }
    return *table;
}

std::string isa() {
    return kernels().name;
}
std::vector<std::string> isa_levels() {
    return names(true);
}
std::vector<std::string> isa_levels_compiled() {
    return names(false);
}

void force_isa(const std::string& level) {
    current.store(level.empty() ? &automatic_level() : &find_level(level, "force_isa"),
                  std::memory_order_release);
}

}  // namespace hashcore
