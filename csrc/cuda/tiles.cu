#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "cuda/hamming.h"
#include "cuda/runtime.h"
#include "cuda/tiles.h"
#include "hashcore/codes.h"

namespace hashcore::cuda {
namespace {

constexpr int threads = 256;
constexpr int64_t most_rows_a_launch = int64_t{1} << 30;

/// Codes as they lie behind one another.
struct Rows {
    const uint8_t* data;
    int64_t count;
    int64_t bytes;  // a row
};

/// Chunk of a row; bytes behind it are 0.
template <int words>
__device__ Chunk<words> read_chunk(const Rows& rows, int64_t row, int64_t chunk) {
    constexpr int64_t size = 8 * words;
    const uint8_t* from = rows.data + row * rows.bytes + chunk * size;
    const int64_t left = rows.bytes - chunk * size;
    Chunk<words> read;
    if (left >= size && reinterpret_cast<uintptr_t>(from) % alignof(Chunk<words>) == 0)
        return *reinterpret_cast<const Chunk<words>*>(from);
#pragma unroll
    for (int w = 0; w < words; ++w) {
        read.of[w] = 0;
#pragma unroll
        for (int i = 0; i < 8; ++i)
            if (8 * w + i < left) read.of[w] |= uint64_t{from[8 * w + i]} << (8 * i);
    }
    return read;
}

/// A thread a chunk: to tiles from slot `first` on, or to padded rows.
template <int words, bool tiled>
__global__ void lay_out(const Rows rows, int64_t chunks, int64_t first, Chunk<words>* to) {
    const int64_t row = int64_t{blockIdx.x} * threads + threadIdx.x;
    const int64_t chunk = blockIdx.y;
    if (row >= rows.count) return;
    const int64_t slot = first + row;
    const int64_t place =
        tiled ? (slot / tile_codes * chunks + chunk) * tile_codes + slot % tile_codes
              : slot * chunks + chunk;
    to[place] = read_chunk<words>(rows, row, chunk);
}

template <bool tiled>
void lay_out_rows(const Rows& rows, int64_t bits, int64_t first, void* to, const Stream& stream) {
    const int64_t chunks = chunks_per_code(bits);
    for (int64_t done = 0; done < rows.count; done += most_rows_a_launch) {
        const Rows part{rows.data + done * rows.bytes,
                        std::min(most_rows_a_launch, rows.count - done), rows.bytes};
        const dim3 blocks(blocks_for(part.count, threads), static_cast<unsigned>(chunks));
        if (chunk_bytes(bits) == 8)
            launch(stream, "laying codes out", lay_out<1, tiled>, blocks, threads, 0, part, chunks,
                   first + done, static_cast<Chunk<1>*>(to));
        else
            launch(stream, "laying codes out", lay_out<2, tiled>, blocks, threads, 0, part, chunks,
                   first + done, static_cast<Chunk<2>*>(to));
    }
}

__global__ void find_pad_bits(const Rows rows, unsigned mask, unsigned* found) {
    const int64_t row = int64_t{blockIdx.x} * threads + threadIdx.x;
    if (row < rows.count && (rows.data[(row + 1) * rows.bytes - 1] & mask) != 0)
        atomicAdd(found, 1U);
}

}  // namespace

Tiles::Tiles(int64_t bits, int64_t room, const Stream& stream)
    : room_(room),
      memory_(tiles_for(room) * tile_bytes(bits), "codes", stream),
      view_{memory_.as<const uint8_t>(), room, bits, 0, nullptr, nullptr, 0},
      ready_(stream.device),
      used_(stream.device) {
    if (room == 0) return;
    clear(memory_.as<uint8_t>() + bytes() - tile_bytes(bits), tile_bytes(bits), stream);
    ready_.record(stream);
}

Tiles::~Tiles() {
    try {
        ready_.hold(memory_.stream());
        used_.hold(memory_.stream());
    } catch (const std::exception&) {  // the device is lost
    }
}

void Tiles::restart(int64_t first_position, int64_t codes) {
    if (codes > room_) throw std::invalid_argument("tiles: more codes than there is room for");
    view_.first_position = first_position;
    view_.codes = codes;
}

void Tiles::put(int64_t first, const uint8_t* rows, int64_t count, const Stream& stream) {
    if (stream.device != device())
        throw std::invalid_argument("codes: expected a stream of device " +
                                    std::to_string(device()) + "; got one of device " +
                                    std::to_string(stream.device));
    ready_.hold(stream);
    used_.hold(stream);
    lay_out_rows<true>({rows, count, bytes_per_code(view_.bits)}, view_.bits, first,
                       memory_.as<void>(), stream);
    ready_.record(stream);
}

void Tiles::take(Tiles& from, int64_t count, const Stream& stream) {
    if (count > std::min(room_, from.room_) || from.view_.bits != view_.bits)
        throw std::invalid_argument("tiles: expected as much room and width as is taken up");
    from.begin_reading(stream);
    begin_reading(stream);
    copy_within(memory_.as<void>(), from.memory_.as<const void>(),
                tiles_for(count) * tile_bytes(view_.bits), stream);
    from.end_reading(stream);
    ready_.record(stream);
}

void Tiles::begin_reading(const Stream& stream) const {
    if (stream.device != device())
        throw std::invalid_argument("queries: expected a stream of device " +
                                    std::to_string(device()) + "; got one of device " +
                                    std::to_string(stream.device));
    ready_.hold(stream);
    used_.hold(stream);  // so that the next record covers it as well
}

void Tiles::end_reading(const Stream& stream) {
    used_.record(stream);
}

Upload::Own::Own(int device) : stream{device, nullptr} {
    const DeviceScope scope(device);
    cudaStream_t made{};
    check(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking), "a stream");
    stream.handle = made;
}

Upload::Own::~Own() {
    (void)cudaStreamSynchronize(static_cast<cudaStream_t>(stream.handle));
    (void)cudaStreamDestroy(static_cast<cudaStream_t>(stream.handle));
}

Upload::Stage::Stage(int64_t bytes, const Stream& stream)
    : pinned(nullptr), on_device(bytes, "uploads", stream), done(stream.device) {
    const DeviceScope scope(stream.device);
    void* memory = nullptr;
    check(cudaHostAlloc(&memory, static_cast<size_t>(bytes), cudaHostAllocDefault),
          "pinned memory");
    pinned = static_cast<uint8_t*>(memory);
}

Upload::Stage::~Stage() {
    try {
        done.wait();
    } catch (const std::exception&) {  // the device is lost
    }
    (void)cudaFreeHost(pinned);
}

Upload::Upload(int64_t stage_bytes, int device)
    : stage_bytes_(stage_bytes),
      own_(device),
      stages_{Stage(stage_bytes, own_.stream), Stage(stage_bytes, own_.stream)} {}

Upload::~Upload() = default;

void Upload::put(Tiles& tiles, int64_t first, const uint8_t* rows, int64_t count) {
    const int64_t row_bytes = bytes_per_code(tiles.view().bits);
    const int64_t at_once = stage_bytes_ / row_bytes;
    for (int64_t done = 0; done < count; done += at_once) {
        Stage& stage = stages_[turn_];
        turn_ ^= 1;
        stage.done.wait();
        const int64_t part = std::min(at_once, count - done);
        std::memcpy(stage.pinned, rows + done * row_bytes, static_cast<size_t>(part * row_bytes));
        copy_to_device(stage.on_device.as<void>(), stage.pinned, part * row_bytes, own_.stream);
        tiles.put(first + done, stage.on_device.as<const uint8_t>(), part, own_.stream);
        stage.done.record(own_.stream);
    }
}

QueryRows::QueryRows(const uint8_t* rows, int64_t count, int64_t bits, bool on_host,
                     const Stream& stream)
    : count_(count), bits_(bits) {
    const int64_t row_bytes = chunks_per_code(bits) * chunk_bytes(bits);
    const int64_t padded = count + query_group;
    memory_ = DeviceMemory(padded * row_bytes, "queries", stream);
    clear(memory_.as<void>(), padded * row_bytes, stream);
    DeviceMemory copied;
    if (on_host) {
        const int64_t bytes = count * bytes_per_code(bits);
        copied = DeviceMemory(bytes, "queries", stream);
        copy_to_device(copied.as<void>(), rows, bytes, stream);
        rows = copied.as<const uint8_t>();
    }
    lay_out_rows<false>({rows, count, bytes_per_code(bits)}, bits, 0, memory_.as<void>(), stream);
}

bool has_pad_bits(const uint8_t* rows, int64_t count, int64_t bits, const Stream& stream) {
    if (bits % 8 == 0 || count == 0) return false;
    const DeviceMemory found(sizeof(unsigned), "a flag", stream);
    clear(found.as<void>(), sizeof(unsigned), stream);
    launch(stream, "looking for pad bits", find_pad_bits, blocks_for(count, threads), threads, 0,
           Rows{rows, count, bytes_per_code(bits)}, 0xFFU >> (bits % 8), found.as<unsigned>());
    unsigned on_host = 0;
    copy_to_host(&on_host, found.as<void>(), sizeof on_host, stream);
    wait_for(stream);
    return on_host != 0;
}

}  // namespace hashcore::cuda
