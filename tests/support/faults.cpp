// The system's functions under their own names: whatever the process calls, its libraries too, comes here first.
#include "tests/support/faults.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstring>
#include <set>
#include <utility>

namespace lgms::testing {
namespace {

constexpr int kThreads = 64;
constexpr size_t kFrames = 10;  // that tell a place: three of them are ours

std::atomic<bool> watching{false};  // calls are counted
std::atomic<int> kind{-1};
std::atomic<int> fail_thread{-1};
std::atomic<int64_t> fail_index{-1};
std::atomic<bool> fail_on{false}, failed{false};
std::atomic<int> threads{1};
int64_t counts[kThreads];
thread_local int ordinal = 0;
thread_local bool inside = false;  // our own calls

struct Recorder {
  bool at_work = false, all = false;
  std::set<std::array<void*, kFrames>> seen;
  std::vector<Point> points;
  std::atomic_flag busy = ATOMIC_FLAG_INIT;
};
Recorder recorder;

void record(int64_t index) {
  std::array<void*, kFrames> stack{};
  if (!recorder.all) backtrace(stack.data(), static_cast<int>(stack.size()));
  while (recorder.busy.test_and_set()) {}
  if (recorder.all || recorder.seen.insert(stack).second) recorder.points.push_back({ordinal, index});
  recorder.busy.clear();
}

// Whether this call is to fail.
bool hit(Call call) {
  if (!watching.load(std::memory_order_relaxed) || inside || kind.load(std::memory_order_relaxed) != int(call))
    return false;
  inside = true;
  const int64_t index = counts[ordinal % kThreads]++;
  if (recorder.at_work) record(index);
  const bool now = ordinal == fail_thread && index == fail_index;
  if (now) failed = true;
  const bool fails = now || (fail_on && failed);
  inside = false;
  return fails;
}

template <class F>
F* real(const char* name) {
  const bool before = std::exchange(inside, true);
  void* const found = dlsym(RTLD_NEXT, name);
  inside = before;
  return reinterpret_cast<F*>(found);
}

struct Start {
  void* (*function)(void*);
  void* argument;
  int ordinal;
};
void* start(void* data) {
  const Start s = *static_cast<Start*>(data);
  inside = true;
  delete static_cast<Start*>(data);
  inside = false;
  ordinal = s.ordinal;
  return s.function(s.argument);
}

void watch(Call call, const Fault& fault) {
  void* warm[2];
  backtrace(warm, 2);  // its first call loads a library
  std::memset(counts, 0, sizeof counts);
  threads = 1;
  kind = int(call);
  fail_thread = fault.point.index < 0 ? -1 : fault.point.thread;
  fail_index = fault.point.index;
  fail_on = fault.on;
  failed = false;
  watching = true;
}

}  // namespace

const char* name_of(Call call) {
  constexpr const char* names[kCalls] = {"memory", "map", "thread", "open", "read", "write", "sync", "rename"};
  return names[static_cast<size_t>(call)];
}

void start_failing(Call call, Fault fault) { watch(call, fault); }
void stop_failing() { watching = false; }

void start_recording(Call call, bool all) {
  recorder.at_work = true;
  recorder.all = all;
  recorder.points.clear();
  watch(call, {{-1, -1}, false});
}
std::vector<Point> stop_recording() {
  watching = false;
  recorder.at_work = false;
  return recorder.points;
}

std::vector<std::string> sweep(Call call, const std::vector<Fault>& faults,
                               const std::function<std::string(Fault)>& try_one, unsigned seconds) {
  constexpr size_t kMost = 20, kText = 400;
  struct Shared {  // with the process at work
    std::atomic<size_t> next, wrong;
    char lines[kMost][kText];
  };
  auto* const shared =
      static_cast<Shared*>(mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  const size_t all = faults.size();
  const auto note = [&](size_t i, const std::string& what) {
    const size_t line = shared->wrong.fetch_add(1);
    if (line < kMost)
      std::snprintf(shared->lines[line], kText, "%s %lld of thread %d%s: %s", name_of(call),
                    static_cast<long long>(faults[i].point.index), faults[i].point.thread,
                    faults[i].on ? " and all after" : "", what.c_str());
  };
  while (shared->next < all && shared->wrong < kMost) {
    const pid_t worker = fork();
    if (worker == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      while (shared->next < all && shared->wrong < kMost) {
        const size_t i = shared->next;
        alarm(seconds);
        std::string what;
        try {
          what = try_one(faults[i]);
        } catch (const std::exception& e) { what = std::string("the test itself: ") + e.what(); }
        alarm(0);
        if (!what.empty()) note(i, what);
        shared->next = i + 1;
      }
      _exit(0);
    }
    int status = 0;
    waitpid(worker, &status, 0);
    if (!WIFSIGNALED(status)) continue;
    note(shared->next, WTERMSIG(status) == SIGALRM ? "hangs" : std::string("ends with ") + strsignal(WTERMSIG(status)));
    ++shared->next;
  }
  std::vector<std::string> lines;
  for (size_t i = 0; i < std::min<size_t>(shared->wrong, kMost); ++i) lines.emplace_back(shared->lines[i]);
  munmap(shared, sizeof(Shared));
  return lines;
}

}  // namespace lgms::testing

using lgms::testing::Call;
using lgms::testing::hit;

extern "C" {

void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);

void* malloc(size_t size) { return hit(Call::memory) ? (errno = ENOMEM, nullptr) : __libc_malloc(size); }
void* calloc(size_t n, size_t size) { return hit(Call::memory) ? (errno = ENOMEM, nullptr) : __libc_calloc(n, size); }
void* realloc(void* block, size_t size) {
  return hit(Call::memory) ? (errno = ENOMEM, nullptr) : __libc_realloc(block, size);
}
void* aligned_alloc(size_t alignment, size_t size) {
  return hit(Call::memory) ? (errno = ENOMEM, nullptr) : __libc_memalign(alignment, size);
}
void* memalign(size_t alignment, size_t size) { return aligned_alloc(alignment, size); }
int posix_memalign(void** block, size_t alignment, size_t size) {
  *block = aligned_alloc(alignment, size);
  return *block == nullptr ? ENOMEM : 0;
}

void* mmap(void* address, size_t length, int protection, int flags, int descriptor, off_t offset) {
  if (hit(Call::map)) return errno = ENOMEM, MAP_FAILED;
  return reinterpret_cast<void*>(syscall(SYS_mmap, address, length, protection, flags, descriptor, offset));
}
void* mmap64(void* address, size_t length, int protection, int flags, int descriptor, off_t offset) {
  return mmap(address, length, protection, flags, descriptor, offset);
}
void* mremap(void* address, size_t old_length, size_t length, int flags, ...) {
  va_list more;
  va_start(more, flags);
  void* const wanted = va_arg(more, void*);
  va_end(more);
  if (hit(Call::map)) return errno = ENOMEM, MAP_FAILED;
  return reinterpret_cast<void*>(syscall(SYS_mremap, address, old_length, length, flags, wanted));
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*function)(void*), void* argument) {
  using namespace lgms::testing;
  static auto* const create = real<decltype(pthread_create)>("pthread_create");
  if (hit(Call::thread)) return EAGAIN;
  inside = true;
  auto* const data = new Start{function, argument, threads.fetch_add(1)};
  inside = false;
  const int error = create(thread, attributes, start, data);
  if (error != 0) delete data;
  return error;
}

static int open_at(int folder, const char* path, int flags, mode_t mode) {
  if (hit(Call::open)) return errno = EMFILE, -1;
  return static_cast<int>(syscall(SYS_openat, folder, path, flags, mode));
}
#define LGMS_MODE(flags)                                            \
  mode_t mode = 0;                                                  \
  if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE) { \
    va_list more;                                                   \
    va_start(more, flags);                                          \
    mode = va_arg(more, mode_t);                                    \
    va_end(more);                                                   \
  }
int open(const char* path, int flags, ...) {
  LGMS_MODE(flags)
  return open_at(AT_FDCWD, path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  LGMS_MODE(flags)
  return open_at(AT_FDCWD, path, flags, mode);
}
int __open_2(const char* path, int flags) { return open_at(AT_FDCWD, path, flags, 0); }
int __open64_2(const char* path, int flags) { return open_at(AT_FDCWD, path, flags, 0); }

ssize_t read(int descriptor, void* into, size_t count) {
  if (hit(Call::read)) return errno = EIO, -1;
  return syscall(SYS_read, descriptor, into, count);
}
ssize_t __read_chk(int descriptor, void* into, size_t count, size_t) { return read(descriptor, into, count); }

// stderr is left alone: what is wrong is said there.
ssize_t write(int descriptor, const void* bytes, size_t count) {
  if (descriptor != STDERR_FILENO && hit(Call::write)) return errno = ENOSPC, -1;
  return syscall(SYS_write, descriptor, bytes, count);
}
int fsync(int) {
  if (hit(Call::sync)) return errno = EIO, -1;
  return 0;  // a disk would take milliseconds each time, and what is on it after a power cut is not tested here
}
int rename(const char* from, const char* to) noexcept {
  if (hit(Call::rename)) return errno = EACCES, -1;
  return static_cast<int>(syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to));
}

}  // extern "C"
