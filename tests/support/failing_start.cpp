// To be preloaded: of the calls of malloc and its like, from the start of the process on, number LGMS_FAIL_AT (from 0)
// and, where LGMS_FAIL_ON is set, all after it fail.
#include <cerrno>
#include <cstddef>
#include <cstdlib>

namespace {

bool fails() {
  static long count = 0;
  static const char *const at = std::getenv("LGMS_FAIL_AT"), *const on = std::getenv("LGMS_FAIL_ON");
  const long call = count++, first = at ? std::atol(at) : -1;
  return first >= 0 && (call == first || (on && call > first));
}

}  // namespace

extern "C" {

void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);

void* malloc(size_t size) { return fails() ? (errno = ENOMEM, nullptr) : __libc_malloc(size); }
void* calloc(size_t n, size_t size) { return fails() ? (errno = ENOMEM, nullptr) : __libc_calloc(n, size); }
void* realloc(void* block, size_t size) { return fails() ? (errno = ENOMEM, nullptr) : __libc_realloc(block, size); }
void* aligned_alloc(size_t alignment, size_t size) {
  return fails() ? (errno = ENOMEM, nullptr) : __libc_memalign(alignment, size);
}

}  // extern "C"
