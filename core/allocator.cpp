#include "core/allocator.h"

#include <algorithm>
#include <cstdlib>

#include "core/error.h"

namespace lgms {
namespace {

constexpr int64_t kAlignment = 64;

// Sizes are rounded so that tensors of nearly the same size share blocks: to 64 bytes, above 1 KB to
// between 1/8 and 1/16 of the size.
int64_t rounded(int64_t bytes) {
  int64_t step = kAlignment;
  while (step * 16 < bytes) step *= 2;
  return std::max(kAlignment, (bytes + step - 1) / step * step);
}

}  // namespace

Allocator::~Allocator() { trim(); }

void* Allocator::allocate(int64_t bytes) {
  check(bytes >= 0, ErrorKind::internal, "[allocator] bytes: expected 0 or more, got ", bytes);
  const int64_t size = rounded(bytes);
  const std::lock_guard lock(mutex_);
  check(limit_ == 0 || in_use_ + size <= limit_, ErrorKind::device, "[memory] expected at most ", limit_,
        " bytes in use, ", in_use_ + size, " were asked for; choose a smaller batch or image");
  void* block = nullptr;
  if (const auto found = cached_.find(size); found != cached_.end() && !found->second.empty()) {
    block = found->second.back();
    found->second.pop_back();
  } else {
    block = std::aligned_alloc(kAlignment, static_cast<size_t>(size));
    if (block == nullptr && !cached_.empty()) {
      for (auto& [unused, blocks] : cached_)
        for (void* cached : blocks) std::free(cached);
      cached_.clear();
      block = std::aligned_alloc(kAlignment, static_cast<size_t>(size));
    }
    check(block != nullptr, ErrorKind::device, "[memory] the system has no ", size,
          " bytes left; choose a smaller batch or image");
  }
  in_use_ += size;
  peak_ = std::max(peak_, in_use_);
  return block;
}

void Allocator::release(void* block, int64_t bytes) noexcept {
  if (block == nullptr) return;
  const int64_t size = rounded(bytes);
  const std::lock_guard lock(mutex_);
  in_use_ -= size;
  try {
    cached_[size].push_back(block);
  } catch (...) {  // no memory for the list itself
    std::free(block);
  }
}

void Allocator::trim() noexcept {
  const std::lock_guard lock(mutex_);
  for (auto& [size, blocks] : cached_)
    for (void* block : blocks) std::free(block);
  cached_.clear();
}

int64_t Allocator::in_use() const {
  const std::lock_guard lock(mutex_);
  return in_use_;
}

int64_t Allocator::peak() const {
  const std::lock_guard lock(mutex_);
  return peak_;
}

void Allocator::reset_peak() {
  const std::lock_guard lock(mutex_);
  peak_ = in_use_;
}

}  // namespace lgms
