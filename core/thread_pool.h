#pragma once
// Threads that run the pieces of one op. The pieces never depend on the number of threads; only who runs them does.
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "core/error.h"

namespace lgms {

// Non-owning reference to a callable: no allocation per parallel region.
template <class Signature>
class FunctionRef;
template <class R, class... Args>
class FunctionRef<R(Args...)> {
 public:
  template <class F>
  FunctionRef(const F& f)  // NOLINT: implicit on purpose
      : object_(&f),
        call_([](const void* object, Args... args) -> R { return (*static_cast<const F*>(object))(args...); }) {}
  R operator()(Args... args) const { return call_(object_, args...); }

 private:
  const void* object_;
  R (*call_)(const void*, Args...);
};

// A thread that runs f. Throws Error{device} where the system gives none.
template <class F>
std::thread start_thread(F f) {
  try {
    return std::thread(std::move(f));
  } catch (const std::system_error& e) {
    fail(ErrorKind::device, "[threads] the system gives no further thread (", e.code().message(), "); ask for fewer");
  }
}

inline constexpr int kMostThreads = 1024;

// run(pieces, body) calls body(piece, worker) once for every piece in [0, pieces), worker in [0, threads()), the caller
// being worker 0, and returns when all are done. A worker begins with its own share of neighbouring pieces, the same
// ones in every region, whose data its cache may still hold, then helps the others. The first exception of a piece is
// rethrown in the caller. Between regions workers spin for about 50 us, then sleep. threads = 1 creates no thread. One
// region at a time: a nested run executes in the calling worker alone, and callers in several threads take turns.
class ThreadPool {
 public:
  // Throws Error{usage} unless 1 <= threads <= kMostThreads, Error{device} where the system gives fewer.
  explicit ThreadPool(int threads);
  ~ThreadPool() { stop(); }
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }
  void run(int64_t pieces, FunctionRef<void(int64_t piece, int worker)> body);

 private:
  void stop() noexcept;  // ends and joins the workers
  void work(int worker);
  void take_pieces(int worker);

  std::vector<std::thread> workers_;
  std::mutex turn_;  // held by the caller of the region
  std::mutex mutex_;
  std::condition_variable wake_;
  alignas(64) std::atomic<uint64_t> region_{0};  // bumped once per region
  struct alignas(64) Share {                     // of a worker: pieces that nobody has taken yet
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };
  std::vector<Share> shares_;
  alignas(64) std::atomic<int> running_{0};
  const FunctionRef<void(int64_t, int)>* body_ = nullptr;
  bool stopped_ = false;
  std::exception_ptr error_;
};

// The number of CPUs this process may use: affinity mask and cgroup cpu.max, at least 1.
int available_cpus();

}  // namespace lgms
