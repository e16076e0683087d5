#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace hashcore {

/// A file that appears under its name only when it is whole: written beside it, synced, renamed.
/// Without commit() the destructor removes what was written.
class AtomicFile {
 public:
    explicit AtomicFile(std::string path);
    ~AtomicFile();
    AtomicFile(const AtomicFile&) = delete;
    AtomicFile& operator=(const AtomicFile&) = delete;

    void write(const void* data, size_t size);
    void write_at(const void* data, size_t size, uint64_t offset);
    void commit();

 private:
    std::string path_;
    std::string temporary_;
    int descriptor_;
    uint64_t written_ = 0;
};

/// A file that is built in steps beside the name it will get, "<path>.building". It outlives this
/// object, and the process, until commit(). Locked while it is open: throws std::system_error with
/// EBUSY where another process builds it.
class WorkFile {
 public:
    explicit WorkFile(const std::string& path);
    ~WorkFile();
    WorkFile(const WorkFile&) = delete;
    WorkFile& operator=(const WorkFile&) = delete;

    uint64_t size() const;
    void read_at(void* data, size_t size, uint64_t offset) const;
    void write_at(const void* data, size_t size, uint64_t offset);
    void clear();  ///< drops all contents
    void sync();   ///< what has been written survives a power cut
    void commit();

 private:
    std::string path_;
    std::string working_;
    int descriptor_;
};

/// A file opened for reading.
class InputFile {
 public:
    explicit InputFile(std::string path);
    ~InputFile();
    InputFile(const InputFile&) = delete;
    InputFile& operator=(const InputFile&) = delete;

    uint64_t size() const { return size_; }
    void read_at(void* data, size_t size, uint64_t offset) const;

    /// The whole file, read-only; the mapping outlives this object.
    std::shared_ptr<const uint8_t> map() const;

 private:
    std::string path_;
    int descriptor_;
    uint64_t size_;
};

}  // namespace hashcore
