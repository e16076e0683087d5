#include "core/file_io.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <random>
#include <system_error>

namespace hashcore {
namespace {

constexpr size_t largest_transfer = size_t{1} << 30;

[[noreturn]] void throw_errno(const std::string& path) {
    throw std::system_error(errno, std::generic_category(), path);
}

/// What a symbolic link points to is replaced, not the link.
std::string target_of(const std::string& path) {
    return std::filesystem::is_symlink(path) ? std::filesystem::weakly_canonical(path).string()
                                             : path;
}

void write_all(int descriptor, const void* data, size_t size, uint64_t offset,
               const std::string& path) {
    const auto* bytes = static_cast<const uint8_t*>(data);
    while (size > 0) {
        const ssize_t written =
            pwrite(descriptor, bytes, std::min(size, largest_transfer), static_cast<off_t>(offset));
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) throw_errno(path);
        bytes += written;
        offset += static_cast<uint64_t>(written);
        size -= static_cast<size_t>(written);
    }
}

void read_all(int descriptor, void* data, size_t size, uint64_t offset, const std::string& path) {
    auto* bytes = static_cast<uint8_t*>(data);
    while (size > 0) {
        const ssize_t got =
            pread(descriptor, bytes, std::min(size, largest_transfer), static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) continue;
        if (got == 0) errno = EIO;  // the file shrank under us
        if (got <= 0) throw_errno(path);
        bytes += got;
        offset += static_cast<uint64_t>(got);
        size -= static_cast<size_t>(got);
    }
}

void replace(const std::string& from, const std::string& to) {
    if (rename(from.c_str(), to.c_str()) != 0) throw_errno(to);
}

/// Whether `path` names the file that is open.
bool is_still_at(const std::string& path, int descriptor) {
    struct stat named, opened;
    return stat(path.c_str(), &named) == 0 && fstat(descriptor, &opened) == 0 &&
           named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

/// Opens a file, or makes it, for this process alone.
int open_locked(const std::string& path) {
    for (;;) {
        const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (descriptor < 0) throw_errno(path);
        if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
            const int error = errno == EWOULDBLOCK ? EBUSY : errno;
            close(descriptor);
            errno = error;
            throw_errno(path);
        }
        if (is_still_at(path, descriptor)) return descriptor;
        close(descriptor);  // its builder gave it another name between open and flock
    }
}

void sync_folder_of(const std::string& path) {
    const std::filesystem::path parent = std::filesystem::path(path).parent_path();
    const std::filesystem::path folder = parent.empty() ? "." : parent;
    const int descriptor = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) throw_errno(folder.string());
    const int result = fsync(descriptor);
    const int error = errno;
    close(descriptor);
    // Some file systems cannot sync a folder; the rename stands all the same.
    if (result != 0 && error != EINVAL && error != ENOTSUP) {
        errno = error;
        throw_errno(folder.string());
    }
}

}  // namespace

AtomicFile::AtomicFile(std::string path) : path_(target_of(path)) {
    std::random_device random;
    do {  // a name left behind by a killed process is passed over
        temporary_ = path_ + ".tmp-" + std::to_string(random());
        descriptor_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } while (descriptor_ < 0 && errno == EEXIST);
    if (descriptor_ < 0) throw_errno(path_);
}

AtomicFile::~AtomicFile() {
    if (descriptor_ < 0) return;
    close(descriptor_);
    unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, size_t size) {
    write_all(descriptor_, data, size, written_, path_);
    written_ += size;
}

void AtomicFile::write_at(const void* data, size_t size, uint64_t offset) {
    write_all(descriptor_, data, size, offset, path_);
}

void AtomicFile::commit() {
    if (fsync(descriptor_) != 0) throw_errno(path_);
    replace(temporary_, path_);
    close(descriptor_);
    descriptor_ = -1;
    sync_folder_of(path_);
}

WorkFile::WorkFile(const std::string& path)
    : path_(target_of(path)), working_(path_ + ".building"), descriptor_(open_locked(working_)) {}

WorkFile::~WorkFile() {
    if (descriptor_ >= 0) close(descriptor_);
}

uint64_t WorkFile::size() const {
    struct stat status;
    if (fstat(descriptor_, &status) != 0) throw_errno(working_);
    return static_cast<uint64_t>(status.st_size);
}

void WorkFile::read_at(void* data, size_t size, uint64_t offset) const {
    read_all(descriptor_, data, size, offset, working_);
}

void WorkFile::write_at(const void* data, size_t size, uint64_t offset) {
    write_all(descriptor_, data, size, offset, working_);
}

void WorkFile::clear() {
    if (ftruncate(descriptor_, 0) != 0) throw_errno(working_);
}

void WorkFile::sync() {
    if (fsync(descriptor_) != 0) throw_errno(working_);
}

void WorkFile::commit() {
    sync();
    replace(working_, path_);
    close(descriptor_);
    descriptor_ = -1;
    sync_folder_of(path_);
}

InputFile::InputFile(std::string path) : path_(std::move(path)) {
    descriptor_ = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor_ < 0) throw_errno(path_);
    struct stat status;
    int error = fstat(descriptor_, &status) != 0 ? errno : 0;
    if (error == 0 && S_ISDIR(status.st_mode)) error = EISDIR;
    if (error != 0) {
        close(descriptor_);
        errno = error;
        throw_errno(path_);
    }
    size_ = static_cast<uint64_t>(status.st_size);
}

InputFile::~InputFile() {
    close(descriptor_);
}

void InputFile::read_at(void* data, size_t size, uint64_t offset) const {
    read_all(descriptor_, data, size, offset, path_);
}

std::shared_ptr<const uint8_t> InputFile::map() const {
    void* address = mmap(nullptr, size_, PROT_READ, MAP_SHARED, descriptor_, 0);
    if (address == MAP_FAILED) throw_errno(path_);
    const size_t size = size_;
    return {static_cast<const uint8_t*>(address),
            [size](const uint8_t* mapped) { munmap(const_cast<uint8_t*>(mapped), size); }};
}

}  // namespace hashcore
