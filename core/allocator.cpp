#include "core/allocator.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>

#include "core/error.h"

namespace lgms {
namespace {

constexpr int64_t kAlignment = 64;

constexpr int64_t kPage = 4096, kMapped = 16 * kPage, kHugePages = 4 << 20;

}  // namespace

Allocator::~Allocator() { trim(); }

// Sizes are rounded so that tensors of nearly the same size share blocks: to 64 bytes, above 1 KB to
// between 1/8 and 1/16 of the size; a lean allocator's mappings to pages.
int64_t Allocator::rounded(int64_t bytes) const {
  int64_t step = kAlignment;
  while (step * 16 < bytes) step *= 2;
  if (is_mapped(bytes)) step = kPage;
  return std::max(kAlignment, (bytes + step - 1) / step * step);
}

bool Allocator::is_mapped(int64_t size) const { return lean_ && size >= kMapped; }

void* Allocator::from_system(int64_t size) const {
  if (!is_mapped(size)) return std::aligned_alloc(kAlignment, static_cast<size_t>(size));
  void* block = mmap(nullptr, static_cast<size_t>(size), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (block == MAP_FAILED) return nullptr;
#ifdef MADV_HUGEPAGE
  if (size >= kHugePages) madvise(block, static_cast<size_t>(size), MADV_HUGEPAGE);  // a tenth of the page faults' time
#endif
  return block;
}

void Allocator::to_system(void* block, int64_t size) const noexcept {
  if (is_mapped(size))
    munmap(block, static_cast<size_t>(size));
  else
    std::free(block);
}

void Allocator::drop_cached(int64_t until) noexcept {
  for (auto i = cached_.end(); kept_ > until && i != cached_.begin();) {
    --i;
    for (; kept_ > until && !i->second.empty(); kept_ -= i->first) {
      to_system(i->second.back(), i->first);
      i->second.pop_back();
    }
  }
}

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
    kept_ -= size;
  } else {
    if (lean_) drop_cached(std::max<int64_t>(0, most_ - in_use_ - size));
    block = from_system(size);
    if (block == nullptr && kept_ > 0) {
      drop_cached(0);
      block = from_system(size);
    }
    check(block != nullptr, ErrorKind::device, "[memory] the system has no ", size,
          " bytes left; choose a smaller batch or image");
  }
  in_use_ += size;
  peak_ = std::max(peak_, in_use_);
  most_ = std::max(most_, in_use_);
  return block;
}

void Allocator::release(void* block, int64_t bytes) noexcept {
  if (block == nullptr) return;
  const int64_t size = rounded(bytes);
  const std::lock_guard lock(mutex_);
  in_use_ -= size;
  try {
    cached_[size].push_back(block);
    kept_ += size;
  } catch (...) {  // no memory for the list itself
    to_system(block, size);
  }
}

void Allocator::trim() noexcept {
  const std::lock_guard lock(mutex_);
  drop_cached(0);
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
