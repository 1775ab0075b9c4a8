#pragma once
// A device whose memory faults when the host touches it, except while host rows run, which are its rows.
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "core/allocator.h"
#include "core/error.h"

namespace lgms::testing {

class EmulatedDevice final : public Allocator {
 public:
  EmulatedDevice() {
    void* const all = mmap(nullptr, kBytes + kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    check(all != MAP_FAILED, ErrorKind::device, "[emulated device] no addresses left");
    mapping_ = static_cast<char*>(all);
    start_ = mapping_ + (kPage - reinterpret_cast<uintptr_t>(all) % kPage) % kPage;
    madvise(start_, kBytes, MADV_HUGEPAGE);  // access then changes by 2 MB: 5 s of tests, not 22
  }
  ~EmulatedDevice() override { munmap(mapping_, kBytes + kPage); }
  EmulatedDevice(const EmulatedDevice&) = delete;
  EmulatedDevice& operator=(const EmulatedDevice&) = delete;

  Device device() const override { return Device::emulated; }

  // Full of NaN: whoever reads what nobody wrote spreads them.
  void* allocate(int64_t bytes) override {
    const std::lock_guard lock(mutex_);
    const size_t size = rounded(bytes);
    auto& free = free_[size];
    void* block = start_ + used_;
    if (free.empty()) {
      check(used_ + size <= kBytes, ErrorKind::device, "[emulated device] no memory left");
      used_ += size;
    } else {
      block = free.back();
      free.pop_back();
    }
    protect(PROT_READ | PROT_WRITE);
    std::memset(block, 0xff, size);
    if (open_ == 0) protect(PROT_NONE);
    return block;
  }
  void release(void* block, int64_t bytes) noexcept override {
    const std::lock_guard lock(mutex_);
    free_[rounded(bytes)].push_back(block);
  }
  void copy(const void* from, int64_t from_stride, void* into, int64_t into_stride, const MemoryRows& rows) override {
    open();
    host_.copy(from, from_stride, into, into_stride, rows);
    close();
  }
  void fill(void* into, int64_t stride, const MemoryRows& rows, const void* element, int64_t size) override {
    open();
    host_.fill(into, stride, rows, element, size);
    close();
  }
  void open() override {
    const std::lock_guard lock(mutex_);
    if (open_++ == 0) protect(PROT_READ | PROT_WRITE);
  }
  void close() noexcept override {
    const std::lock_guard lock(mutex_);
    if (--open_ == 0) protect(PROT_NONE);
  }

 private:
  static constexpr size_t kBytes = size_t{4} << 30, kPage = size_t{2} << 20;
  static size_t rounded(int64_t bytes) { return (static_cast<size_t>(bytes) + 64) / 64 * 64; }
  void protect(int access) noexcept {
    if (mprotect(start_, (used_ + kPage - 1) / kPage * kPage, access) != 0 && used_ > 0) std::abort();
  }

  char *mapping_, *start_;
  size_t used_ = 0;
  std::map<size_t, std::vector<void*>> free_;
  int open_ = 0;
  std::mutex mutex_;
  HostAllocator host_;
};

}  // namespace lgms::testing
