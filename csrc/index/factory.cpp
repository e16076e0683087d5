#include <stdexcept>

#include "hashcore/index.h"
#include "index/flat.h"
#include "index/serialize.h"

namespace hashcore {

std::unique_ptr<Index> make_index(int64_t bits, const std::string& kind, int threads) {
    if (bits < 1 || bits > max_bits)
        throw std::invalid_argument("bits: expected 1..65536; got " + std::to_string(bits));
    // "auto" is the cheapest exact kind there is.
    if (kind == "flat" || kind == "auto") return std::make_unique<FlatIndex>(bits, threads);
    throw std::invalid_argument("kind: expected 'flat' or 'auto'; got '" + kind + "'");
}

std::unique_ptr<Index> load_index(const std::string& path, bool map, bool verify, int threads,
                                  Monitor* monitor) {
    const IndexFile file(path);
    switch (file.header().kind) {
        case FileKind::flat:
            return std::make_unique<FlatIndex>(file, map, verify, threads, monitor);
    }
    file.fail("unknown index kind");
}

}  // namespace hashcore
