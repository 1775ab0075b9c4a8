#pragma once
// Memory for tensors: 64-byte aligned, never zeroed, freed blocks are kept for the next tensor of that size.
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

namespace lgms {

class Allocator : public std::enable_shared_from_this<Allocator> {
 public:
  // limit: most bytes that may be in use at once (0: no limit).
  explicit Allocator(int64_t limit = 0) : limit_(limit) {}
  ~Allocator();
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;

  // A block of at least bytes bytes, 64-byte aligned, contents undefined. Throws Error{device} above the limit or where
  // the system has no more (cached blocks are given back first). Thread-safe, as is release.
  void* allocate(int64_t bytes);
  void release(void* block, int64_t bytes) noexcept;
  void trim() noexcept;  // gives the cached blocks back to the system

  int64_t in_use() const;  // bytes handed out now
  int64_t peak() const;    // the largest in_use so far, or since reset_peak
  void reset_peak();

 private:
  mutable std::mutex mutex_;
  std::map<int64_t, std::vector<void*>> cached_;  // by rounded size
  int64_t limit_, in_use_ = 0, peak_ = 0;
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
