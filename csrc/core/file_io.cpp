#include "core/file_io.h"

#include <fcntl.h>
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

void sync_folder(const std::filesystem::path& folder) {
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

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {
    if (std::filesystem::is_symlink(path_))  // replace what the link points to, not the link
        path_ = std::filesystem::weakly_canonical(path_).string();
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
    const auto* bytes = static_cast<const uint8_t*>(data);
    while (size > 0) {
        const ssize_t written = ::write(descriptor_, bytes, std::min(size, largest_transfer));
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) throw_errno(path_);
        bytes += written;
        size -= static_cast<size_t>(written);
    }
}

void AtomicFile::write_at(const void* data, size_t size, uint64_t offset) {
    if (lseek(descriptor_, static_cast<off_t>(offset), SEEK_SET) < 0) throw_errno(path_);
    write(data, size);
}

void AtomicFile::commit() {
    if (fsync(descriptor_) != 0) throw_errno(path_);
    if (rename(temporary_.c_str(), path_.c_str()) != 0) throw_errno(path_);
    close(descriptor_);
    descriptor_ = -1;
    const auto folder = std::filesystem::path(path_).parent_path();
    sync_folder(folder.empty() ? "." : folder);
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
    auto* bytes = static_cast<uint8_t*>(data);
    while (size > 0) {
        const ssize_t got =
            pread(descriptor_, bytes, std::min(size, largest_transfer), static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) continue;
        if (got == 0) errno = EIO;  // the file shrank under us
        if (got <= 0) throw_errno(path_);
        bytes += got;
        offset += static_cast<uint64_t>(got);
        size -= static_cast<size_t>(got);
    }
}

std::shared_ptr<const uint8_t> InputFile::map() const {
    void* address = mmap(nullptr, size_, PROT_READ, MAP_SHARED, descriptor_, 0);
    if (address == MAP_FAILED) throw_errno(path_);
    const size_t size = size_;
    return {static_cast<const uint8_t*>(address),
            [size](const uint8_t* mapped) { munmap(const_cast<uint8_t*>(mapped), size); }};
}

}  // namespace hashcore
