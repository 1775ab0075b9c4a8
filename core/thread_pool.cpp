#include "core/thread_pool.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <string>

#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "core/error.h"

namespace lgms {
namespace {

thread_local bool inside_region = false;

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

// Spins until ready() or about 50 us have gone by; true if ready. On a single CPU spinning only delays the other
// thread.
template <class Ready>
bool spin_until(const Ready& ready) {
  using clock = std::chrono::steady_clock;
  const auto end = clock::now() + std::chrono::microseconds(50);
  do {
    for (int i = 0; i < 64; ++i) {
      if (ready()) return true;
      relax();
    }
  } while (clock::now() < end);
  return ready();
}

}  // namespace

ThreadPool::ThreadPool(int threads) : shares_(static_cast<size_t>(std::clamp(threads, 0, kMostThreads))) {
  check(threads >= 1 && threads <= kMostThreads, ErrorKind::usage, "[threads] expected 1 to ", kMostThreads, ", got ",
        threads);
  try {
    workers_.reserve(static_cast<size_t>(threads - 1));
    for (int worker = 1; worker < threads; ++worker) workers_.push_back(start_thread([this, worker] { work(worker); }));
  } catch (...) {
    stop();
    throw;
  }
}

void ThreadPool::stop() noexcept {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    region_.fetch_add(1);
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
}

void ThreadPool::run(int64_t pieces, FunctionRef<void(int64_t, int)> body) {
  if (workers_.empty() || pieces <= 1 || inside_region) {
    for (int64_t piece = 0; piece < pieces; ++piece) body(piece, 0);
    return;
  }
  const std::lock_guard turn(turn_);
  {
    const std::lock_guard lock(mutex_);  // a sleeping worker must not miss the new region
    body_ = &body;
    error_ = nullptr;
    const auto workers = static_cast<int64_t>(shares_.size());
    for (int64_t w = 0; w < workers; ++w) {
      Share& share = shares_[static_cast<size_t>(w)];
      share.next.store(pieces * w / workers, std::memory_order_relaxed);
      share.end = pieces * (w + 1) / workers;
    }
    running_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
    region_.fetch_add(1, std::memory_order_release);
  }
  wake_.notify_all();
  take_pieces(0);
  const auto finished = [this] { return running_.load(std::memory_order_acquire) == 0; };
  while (!spin_until(finished)) std::this_thread::yield();
  if (error_) std::rethrow_exception(error_);
}

void ThreadPool::take_pieces(int worker) {
  inside_region = true;
  for (size_t k = 0; k < shares_.size(); ++k) {
    Share& share = shares_[(static_cast<size_t>(worker) + k) % shares_.size()];
    for (;;) {
      const int64_t piece = share.next.fetch_add(1, std::memory_order_relaxed);
      if (piece >= share.end) break;
      try {
        (*body_)(piece, worker);
      } catch (...) {
        const std::lock_guard lock(mutex_);
        if (!error_) error_ = std::current_exception();
        for (Share& s : shares_) s.next.store(s.end, std::memory_order_relaxed);
      }
    }
  }
  inside_region = false;
}

void ThreadPool::work(int worker) {
  for (uint64_t seen = 0;;) {
    const auto changed = [&] { return region_.load(std::memory_order_acquire) != seen; };
    if (!spin_until(changed)) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, changed);
    }
    seen = region_.load(std::memory_order_acquire);
    if (stopped_) return;
    take_pieces(worker);
    running_.fetch_sub(1, std::memory_order_release);
  }
}

int available_cpus() {
  int cpus = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cpus = std::max(1, CPU_COUNT(&set));
  std::ifstream quota("/sys/fs/cgroup/cpu.max");  // "max 100000" or "200000 100000"
  double used, period;
  if (quota >> used >> period && period > 0) cpus = std::clamp(static_cast<int>(std::ceil(used / period)), 1, cpus);
#endif
  return cpus;
}

}  // namespace lgms
