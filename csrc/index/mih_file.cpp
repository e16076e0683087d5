#include "index/mih_file.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "core/large_buffer.h"
#include "core/thread_pool.h"
#include "index/file_build.h"
#include "index/mih_sections.h"
#include "mih/build.h"

namespace hashcore {
namespace {

constexpr int64_t chunk_rows = 1 << 16;

/// One build: what goes in, and where it goes.
class MihFileBuild {
 public:
    MihFileBuild(CodesView codes, const int64_t* ids, MihPlan plan, int64_t memory, int threads,
                 Monitor* monitor)
        : codes_(codes),
          ids_(ids),
          plan_(std::move(plan)),
          memory_(memory),
          threads_(resolve_threads(threads)),
          monitor_(monitor) {}

    void write(const std::string& path) {
        if (monitor_ != nullptr) monitor_->begin(codes_.count * passes());
        std::vector<SectionData> layout = mih_layout(plan_, codes_.count);
        if (ids_ != nullptr)
            layout.push_back({{SectionTag::ids, base_part},
                              nullptr,
                              static_cast<uint64_t>(codes_.count) * sizeof(int64_t)});
        const int64_t next_id =
            codes_.count == 0 ? 0 : (ids_ == nullptr ? codes_.count : ids_[codes_.count - 1] + 1);
        const IndexHeader header{
            FileKind::mih, codes_.bits, next_id, {{{codes_.count, 0}, {0, 0}}}};
        FileBuild file(path, header, layout, identity(), monitor_);
        const std::vector<uint32_t> record = record_plan(plan_);
        write_whole(file, {SectionTag::mih_plan, 0}, record.data(), layout[0].size);
        for (int64_t table = 0; table < plan_.tables(); ++table) write_table(file, table);
        if (plan_.entry == MihEntry::position)
            write_whole(file, {SectionTag::mih_rows, 0}, codes_.data,
                        static_cast<uint64_t>(codes_.count * bytes_per_code(codes_.bits)));
        if (ids_ != nullptr) write_whole(file, layout.back().name, ids_, layout.back().size);
        if (monitor_ != nullptr) monitor_->finish();
        file.finish();
    }

 private:
    int64_t slice_entries(int64_t table) const {
        constexpr int64_t least = int64_t{1} << 20;
        const int64_t counters = plan_.keys(table) * 4 * (1 + threads_);
        const int64_t entry = plan_.entry_bytes(table) + static_cast<int64_t>(sizeof(uint32_t));
        return std::max(least, (memory_ - counters) / entry);
    }

    /// One to identify the codes, and of every table one to count and one a slice.
    int64_t passes() const {
        int64_t sum = 1;
        for (int64_t table = 0; table < plan_.tables(); ++table) {
            const int64_t slice = slice_entries(table);
            sum += 1 + (codes_.count + slice - 1) / slice;
        }
        return sum;
    }

    /// A hash of all that goes in.
    uint64_t identity() const {
        Xxh64 hash;
        const std::vector<uint32_t> record = record_plan(plan_);
        const std::array<int64_t, 3> head = {codes_.bits, codes_.count, ids_ != nullptr ? 1 : 0};
        hash.update(head.data(), sizeof head);
        hash.update(record.data(), record.size() * sizeof(uint32_t));
        const int64_t row_bytes = bytes_per_code(codes_.bits);
        for (int64_t begin = 0; begin < codes_.count; begin += chunk_rows) {
            const int64_t rows = std::min(chunk_rows, codes_.count - begin);
            hash.update(codes_.data + begin * row_bytes, static_cast<size_t>(rows * row_bytes));
            if (ids_ != nullptr)
                hash.update(ids_ + begin, static_cast<size_t>(rows) * sizeof(int64_t));
            if (monitor_ != nullptr) monitor_->advance(rows);
        }
        return hash.digest();
    }

    void write_whole(FileBuild& file, SectionName name, const void* data, uint64_t size) const {
        constexpr uint64_t chunk = uint64_t{64} << 20;
        for (uint64_t done = file.written(name); done < size;) {
            const uint64_t step = std::min(chunk, size - done);
            file.append(name, static_cast<const uint8_t*>(data) + done, step);
            done += step;
            if (monitor_ != nullptr) monitor_->advance(0);
        }
        file.checkpoint();
    }

    void write_table(FileBuild& file, int64_t table) const {
        const auto part = static_cast<uint32_t>(table);
        const SectionName starts{SectionTag::mih_starts, part};
        const SectionName entries{SectionTag::mih_entries, part};
        const SectionName positions{SectionTag::mih_positions, part};
        const auto entry_bytes = static_cast<uint64_t>(plan_.entry_bytes(table));
        const int64_t slice = slice_entries(table);
        auto done = static_cast<int64_t>(file.written(positions) / sizeof(uint32_t));
        if (file.whole(starts) && done == codes_.count) {
            const int64_t skipped = 1 + (codes_.count + slice - 1) / slice;
            if (monitor_ != nullptr) monitor_->advance(codes_.count * skipped);
            return;
        }
        MihTableBuilder builder(plan_, table, codes_, threads_, monitor_);
        write_whole(file, starts, builder.starts().data(),
                    builder.starts().size() * sizeof(uint32_t));
        const auto most = static_cast<uint64_t>(std::min(slice, codes_.count));
        const LargeBuffer entry_buffer(most * entry_bytes);
        const LargeBuffer position_buffer(most * sizeof(uint32_t));
        while (done < codes_.count) {
            const int64_t count = std::min(slice, codes_.count - done);
            builder.fill(done, done + count, entry_buffer.as<uint8_t>(),
                         position_buffer.as<uint32_t>());
            if (entry_bytes > 0)
                file.append(entries, entry_buffer.as<uint8_t>(),
                            static_cast<uint64_t>(count) * entry_bytes);
            file.append(positions, position_buffer.as<uint32_t>(),
                        static_cast<uint64_t>(count) * sizeof(uint32_t));
            file.checkpoint();
            done += count;
        }
    }

    CodesView codes_;
    const int64_t* ids_;
    MihPlan plan_;
    int64_t memory_;
    int threads_;
    Monitor* monitor_;
};

}  // namespace

void build_mih_file(const std::string& path, CodesView codes, const int64_t* ids, MihPlan plan,
                    int64_t memory, int threads, Monitor* monitor) {
    MihFileBuild(codes, ids, std::move(plan), memory, threads, monitor).write(path);
}

}  // namespace hashcore
