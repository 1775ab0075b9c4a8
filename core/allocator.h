#pragma once
// Memory for tensors: 64-byte aligned, never zeroed, freed blocks are kept for the next tensor of that size.
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

namespace lgms {

// Bytes of memory that this process may come to use: the machine's, or its control group's where that is less.
uint64_t machine_memory();

class Allocator : public std::enable_shared_from_this<Allocator> {
 public:
  // limit: most bytes that may be in use at once (0: no limit). lean: freed blocks are kept only as long as what is in
  // use and what is kept together stay within the largest use so far, and large ones are the system's own mappings, so
  // that peak() bounds the resident memory of all tensors; costs the page faults of blocks that come and go.
  explicit Allocator(int64_t limit = 0, bool lean = false) : limit_(limit), lean_(lean) {}
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
  int64_t rounded(int64_t bytes) const;
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
