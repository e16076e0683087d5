// Codes on a device as scans read them. Host code may include this without CUDA.
#pragma once
#include <array>
#include <cstdint>

#include "cuda/device_memory.h"
#include "cuda/search_pass.h"

namespace hashcore::cuda {

/// Room on a device for codes. Streams that fill and read it wait for each other there, so that
/// none of them is waited for here.
class Tiles {
 public:
    Tiles(int64_t bits, int64_t room, const Stream& stream);
    ~Tiles();
    Tiles(const Tiles&) = delete;
    Tiles& operator=(const Tiles&) = delete;

    /// Holds `codes` from now on, numbered from `first_position`.
    void restart(int64_t first_position, int64_t codes);
    /// Lays codes [first, first + count) from rows on the device, [count, bytes_per_code(bits)].
    void put(int64_t first, const uint8_t* rows, int64_t count, const Stream& stream);
    /// Lays the first `count` codes as another room of this device has them.
    void take(Tiles& from, int64_t count, const Stream& stream);

    const TileView& view() const { return view_; }
    int device() const { return memory_.stream().device; }
    int64_t bytes() const { return tiles_for(room_) * tile_bytes(view_.bits); }

    /// Around what reads the codes on a stream.
    void begin_reading(const Stream& stream) const;
    void end_reading(const Stream& stream);

 private:
    int64_t room_;
    DeviceMemory memory_;
    TileView view_;
    Event ready_, used_;
};

/// Puts codes of the host's memory into tiles by way of two pinned buffers of `stage_bytes`, a row
/// at least: while one travels, the next is filled. Copies have a stream of their own.
class Upload {
 public:
    Upload(int64_t stage_bytes, int device);
    ~Upload();
    Upload(const Upload&) = delete;
    Upload& operator=(const Upload&) = delete;

    /// Has read the rows when it returns.
    void put(Tiles& tiles, int64_t first, const uint8_t* rows, int64_t count);

 private:
    struct Stage {
        Stage(int64_t bytes, const Stream& stream);
        ~Stage();
        Stage(const Stage&) = delete;
        Stage& operator=(const Stage&) = delete;

        uint8_t* pinned;
        DeviceMemory on_device;
        Event done;
    };

    /// A stream that ends last.
    struct Own {
        explicit Own(int device);
        ~Own();
        Own(const Own&) = delete;
        Own& operator=(const Own&) = delete;
        Stream stream;
    };

    int64_t stage_bytes_;
    Own own_;
    Stage stages_[2];
    int turn_ = 0;
};

/// Queries on a device as scans read them.
class QueryRows {
 public:
    /// From rows [count, bytes_per_code(bits)] of the device, or of the host's memory.
    QueryRows(const uint8_t* rows, int64_t count, int64_t bits, bool on_host, const Stream& stream);
    QueryView view() const { return {memory_.as<const uint8_t>(), count_, nullptr}; }
    int64_t bits() const { return bits_; }

 private:
    int64_t count_, bits_;
    DeviceMemory memory_;
};

/// Whether a row [count, bytes_per_code(bits)] on the device has bits set past its width. Waits.
bool has_pad_bits(const uint8_t* rows, int64_t count, int64_t bits, const Stream& stream);

}  // namespace hashcore::cuda
