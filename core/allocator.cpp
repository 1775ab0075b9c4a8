#include "core/allocator.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "core/error.h"

namespace lgms {
namespace {

constexpr int64_t kAlignment = 64;

constexpr int64_t kPage = 4096, kMapped = 16 * kPage, kHugePage = 2 << 20;

using Cache = std::map<int64_t, std::vector<void*>>;

// Addresses for a block that starts at a huge page; memory comes when they are touched. First touched 4 KB at a time,
// memory costs more than most of what is done with it.
char* map_huge(size_t size) {
  const size_t huge = kHugePage;
  void* const mapping = mmap(nullptr, size + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) return nullptr;
  char* const start = static_cast<char*>(mapping);
  const size_t before = (huge - reinterpret_cast<uintptr_t>(start) % huge) % huge;
  if (before > 0) munmap(start, before);
  munmap(start + before + size, huge - before);
#ifdef MADV_HUGEPAGE
  madvise(start + before, size, MADV_HUGEPAGE);
#endif
  return start + before;
}

// A block of whole huge pages: of cached ones, wherever they are, as far as they go, so that what is in use and cached
// is no more than what was in use at once. kept: bytes in the cache. Null where the system has no more.
void* assemble(Cache& cache, int64_t size, int64_t& kept) {
  char* block = nullptr;
  for (int64_t filled = 0; filled < size;) {
    auto largest = cache.rbegin();
    while (largest != cache.rend() && largest->second.empty()) ++largest;
    const bool none = largest == cache.rend() || largest->first < kHugePage;
    const int64_t all = none ? 0 : largest->first, taken = std::min(all, size - filled);
    if (taken < size && block == nullptr) block = map_huge(static_cast<size_t>(size));
    if (none || (taken < size && block == nullptr)) return block;
    char* const free = static_cast<char*>(largest->second.back());
    largest->second.pop_back();
    kept -= taken;
    if (taken < all) cache[all - taken].push_back(free + taken);
    if (taken == size) return free;
    for (int64_t at = 0; at < taken; at += kHugePage, filled += kHugePage) {  // a call may not span mappings
#ifdef __linux__
      if (mremap(free + at, kHugePage, kHugePage, MREMAP_MAYMOVE | MREMAP_FIXED, block + filled) != MAP_FAILED)
        continue;
#endif
      munmap(free + at, kHugePage);  // this page of the block is new
    }
  }
  return block;
}

}  // namespace

uint64_t machine_memory() {
  const auto pages = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)),
             page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  uint64_t group = UINT64_MAX;
  std::ifstream limit("/sys/fs/cgroup/memory.max");  // a number, or "max"
  if (!(limit >> group)) group = UINT64_MAX;
  return std::min(pages * page, group);
}

HostAllocator::~HostAllocator() { trim(); }

// To 64 bytes, above 1 KB to between 1/8 and 1/16 of the size; mappings to pages, huge ones if the allocator is not
// lean.
int64_t HostAllocator::rounded(int64_t bytes) const {
  int64_t step = kAlignment;
  while (step * 16 < bytes) step *= 2;
  if (is_mapped(bytes)) step = lean_ ? kPage : kHugePage;
  return std::max(kAlignment, (bytes + step - 1) / step * step);
}

bool HostAllocator::is_mapped(int64_t size) const { return size >= (lean_ ? kMapped : kHugePage); }

void* HostAllocator::from_system(int64_t size) const {
  if (!is_mapped(size)) return std::aligned_alloc(kAlignment, static_cast<size_t>(size));
  void* block = mmap(nullptr, static_cast<size_t>(size), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (block == MAP_FAILED) return nullptr;
#ifdef MADV_HUGEPAGE
  if (size >= 2 * kHugePage)
    madvise(block, static_cast<size_t>(size), MADV_HUGEPAGE);  // a tenth of the page faults' time
#endif
  return block;
}

void HostAllocator::to_system(void* block, int64_t size) const noexcept {
  if (is_mapped(size))
    munmap(block, static_cast<size_t>(size));
  else
    std::free(block);
}

void HostAllocator::drop_cached(int64_t until) noexcept {
  for (auto i = cached_.end(); kept_ > until && i != cached_.begin();) {
    --i;
    for (; kept_ > until && !i->second.empty(); kept_ -= i->first) {
      to_system(i->second.back(), i->first);
      i->second.pop_back();
    }
  }
}

void* HostAllocator::allocate(int64_t bytes) {
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
    const auto get = [&] { return !lean_ && is_mapped(size) ? assemble(cached_, size, kept_) : from_system(size); };
    block = get();
    if (block == nullptr && kept_ > 0) {
      drop_cached(0);
      block = get();
    }
    check(block != nullptr, ErrorKind::device, "[memory] the system has no ", size,
          " bytes left; choose a smaller batch or image");
  }
  in_use_ += size;
  peak_ = std::max(peak_, in_use_);
  most_ = std::max(most_, in_use_);
  return block;
}

void HostAllocator::release(void* block, int64_t bytes) noexcept {
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

void HostAllocator::copy(const void* from, int64_t from_stride, void* into, int64_t into_stride,
                         const MemoryRows& rows) {
  const auto* source = static_cast<const char*>(from);
  auto* to = static_cast<char*>(into);
  for (int64_t r = 0; r < rows.rows; ++r, source += from_stride, to += into_stride)
    std::memcpy(to, source, static_cast<size_t>(rows.bytes));
}

void HostAllocator::fill(void* into, int64_t stride, const MemoryRows& rows, const void* element, int64_t size) {
  auto* to = static_cast<char*>(into);
  const auto* bytes = static_cast<const char*>(element);
  const bool zero = std::all_of(bytes, bytes + size, [](char byte) { return byte == 0; });
  for (int64_t r = 0; r < rows.rows; ++r, to += stride)
    if (zero)
      std::memset(to, 0, static_cast<size_t>(rows.bytes));
    else
      for (int64_t at = 0; at < rows.bytes; at += size) std::memcpy(to + at, bytes, static_cast<size_t>(size));
}

void HostAllocator::trim() noexcept {
  const std::lock_guard lock(mutex_);
  drop_cached(0);
  cached_.clear();
#ifdef __GLIBC__
  malloc_trim(0);  // which keeps the small ones else
#endif
}

int64_t HostAllocator::in_use() const {
  const std::lock_guard lock(mutex_);
  return in_use_;
}

int64_t HostAllocator::peak() const {
  const std::lock_guard lock(mutex_);
  return peak_;
}

void HostAllocator::reset_peak() {
  const std::lock_guard lock(mutex_);
  peak_ = in_use_;
}

}  // namespace lgms
