#pragma once
// Memory for tensors and scratch: the interface of a device's, and the host's.
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "core/device.h"

namespace lgms {

// Bytes of memory that this process may come to use: the machine's, or its control group's where that is less.
uint64_t machine_memory();

// A strided piece of memory: `rows` rows of `bytes` bytes.
struct MemoryRows {
  int64_t rows, bytes;
};

// The memory of one device. Thread-safe.
class Allocator {
 public:
  virtual ~Allocator() = default;
  virtual Device device() const = 0;

  // A block of at least bytes bytes, 64-byte aligned, contents undefined. Throws Error{device} where there is no more.
  virtual void* allocate(int64_t bytes) = 0;
  virtual void release(void* block, int64_t bytes) noexcept = 0;
  // Copies rows that lie `*_stride` bytes apart; each side is memory of this device or of the host.
  virtual void copy(const void* from, int64_t from_stride, void* into, int64_t into_stride, const MemoryRows& rows) = 0;
  // Fills rows of this device's memory with copies of the `size` bytes at element.
  virtual void fill(void* into, int64_t stride, const MemoryRows& rows, const void* element, int64_t size) = 0;

  // Around host rows that are given this device's memory: an emulated device opens it for them and closes it again.
  virtual void open() {}
  virtual void close() noexcept {}
};

// 64-byte aligned, never zeroed; freed blocks are kept for the next tensor of that size.
class HostAllocator final : public Allocator {
 public:
  // limit: most bytes that may be in use at once (0: no limit). lean: freed blocks are kept only as long as what is in
  // use and what is kept together stay within the largest use so far, and large ones are the system's own mappings, so
  // that peak() bounds the resident memory of all tensors; costs the page faults of blocks that come and go.
  explicit HostAllocator(int64_t limit = 0, bool lean = false) : limit_(limit), lean_(lean) {}
  ~HostAllocator() override;
  HostAllocator(const HostAllocator&) = delete;
  HostAllocator& operator=(const HostAllocator&) = delete;

  Device device() const override { return Device::cpu; }
  // Throws Error{device} above the limit or where the system has no more (cached blocks are given back first).
  void* allocate(int64_t bytes) override;
  void release(void* block, int64_t bytes) noexcept override;
  void copy(const void* from, int64_t from_stride, void* into, int64_t into_stride, const MemoryRows& rows) override;
  void fill(void* into, int64_t stride, const MemoryRows& rows, const void* element, int64_t size) override;
  void trim() noexcept;  // gives the cached blocks back to the system

  // What a block of so many bytes counts for: sizes are rounded, so that tensors of nearly one size share blocks.
  int64_t rounded(int64_t bytes) const;
  int64_t in_use() const;  // bytes handed out now, rounded
  int64_t peak() const;    // the largest in_use so far, or since reset_peak
  void reset_peak();

 private:
  bool is_mapped(int64_t size) const;
  void* from_system(int64_t size) const;  // nullptr where it has none
  void to_system(void* block, int64_t size) const noexcept;
  void drop_cached(int64_t until) noexcept;  // the largest blocks first, until at most that many bytes are kept

  mutable std::mutex mutex_;
  std::map<int64_t, std::vector<void*>> cached_;  // by rounded size
  int64_t limit_, in_use_ = 0, peak_ = 0, kept_ = 0;
  int64_t most_ = 0;  // the largest in_use ever
  bool lean_;
};

// A block owned for a scope: the scratch of an op. T is trivial; elements are undefined.
class Scratch {
 public:
  Scratch(std::shared_ptr<Allocator> allocator, int64_t bytes)
      : allocator_(std::move(allocator)), bytes_(bytes), data_(allocator_->allocate(bytes)) {}
  ~Scratch() { allocator_->release(data_, bytes_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  std::shared_ptr<Allocator> allocator_;
  int64_t bytes_;
  void* data_;
};

}  // namespace lgms
