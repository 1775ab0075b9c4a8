#pragma once
// Everything an op needs besides its tensors: threads, instruction set, memory, a way to stop, a place to log.
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/allocator.h"
#include "core/isa.h"
#include "core/precision.h"
#include "core/provider.h"
#include "core/thread_pool.h"

namespace lgms {

// Set from any thread or from a signal handler; long operations look at it between steps and throw
// Error{interrupted}, or return after having saved.
class StopToken {
 public:
  void request() noexcept { requested_.store(true, std::memory_order_relaxed); }
  bool requested() const noexcept { return requested_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> requested_{false};
};

struct ContextOptions {
  int threads = 1;           // 0: all CPUs that this process may use
  std::optional<Isa> isa;    // absent: LGMS_ISA if set, else the best of this CPU
  int64_t memory_limit = 0;  // bytes of tensors in use at once; 0: no limit
  bool lean = false;         // resident memory is bounded by the tensors in use at once: HostAllocator
  std::function<void(std::string_view line)> log;  // absent: messages are dropped
  // Runs body(piece, worker) for every piece, worker < threads, in place of a pool of our own (an embedder's threads).
  std::function<void(int64_t pieces, FunctionRef<void(int64_t, int)> body)> executor;
  std::shared_ptr<Allocator> device = {};  // where tensors are made; absent: the host
  std::optional<Provider> provider = {};   // absent: LGMS_PROVIDER if set, else own
  Precision precision = Precision::f32;    // of inference
  bool small = false;                      // plans keep no weights that are larger as rows read them
};

// Nothing is process-global: two contexts in two threads do not know of each other. Ops use the thread's current
// context; a thread that never entered a Scope has a default one of its own (one thread, no limit, no log). A context
// may be current in several threads: their ops take turns with its threads, and share its memory limit and stop token.
class Context {
 public:
  explicit Context(ContextOptions options = {});

  static Context& current();
  // Makes a context current for this thread until the scope ends. Scopes nest.
  class Scope {
   public:
    explicit Scope(Context& context);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Context* before_;
  };

  // Another place for what this thread makes on the host in a context, until the scope ends. Scopes nest.
  class MemoryScope {
   public:
    MemoryScope(const Context& context, std::shared_ptr<Allocator> memory);
    ~MemoryScope();
    MemoryScope(const MemoryScope&) = delete;
    MemoryScope& operator=(const MemoryScope&) = delete;

   private:
    friend class Context;
    const Context& context_;
    std::shared_ptr<Allocator> memory_;
    const MemoryScope* before_;
  };

  int threads() const { return threads_; }
  Isa isa() const { return isa_; }
  Provider provider() const { return provider_; }
  Precision precision() const { return options_.precision; }
  bool small() const { return options_.small; }
  // What decides about the last bits: "avx2", or with a provider's "avx2+onednn", or "avx512+bf16-tiles".
  std::string arithmetic() const;
  // Where tensors are made.
  Device device() const { return options_.device ? options_.device->device() : Device::cpu; }
  // Memory of the host, and its account.
  const std::shared_ptr<HostAllocator>& allocator() const { return allocator_; }
  // Where this thread makes what is the host's, scratch of host rows too: there, or where a MemoryScope says.
  std::shared_ptr<Allocator> memory() const;
  // The same, or the memory of the context's device. Throws Error{device} where it is neither.
  std::shared_ptr<Allocator> memory(Device device) const;
  StopToken& stop() { return stop_; }
  const StopToken& stop() const { return stop_; }
  void log(std::string_view line) const {
    if (options_.log) options_.log(line);
  }

  // body(piece, worker) for every piece in [0, pieces), in any order, worker in [0, threads()).
  void parallel(int64_t pieces, FunctionRef<void(int64_t piece, int worker)> body);

 private:
  ContextOptions options_;
  int threads_;
  Isa isa_;
  Provider provider_;
  std::shared_ptr<HostAllocator> allocator_;
  std::unique_ptr<ThreadPool> pool_;  // absent with an executor
  StopToken stop_;
};

// body(first, last, worker) over ranges that cover [0, units): for results that do not depend on where the cuts are.
// A range holds at least grain units.
void parallel_ranges(int64_t units, int64_t grain, FunctionRef<void(int64_t first, int64_t last, int worker)> body);

// The cut of `units` into blocks that a reduction uses: depends on its arguments only, never on threads.
struct Blocks {
  int64_t units, count;
  int64_t first(int64_t block) const { return units * block / count; }
  int64_t last(int64_t block) const { return units * (block + 1) / count; }
};
// At most `most` blocks of at least `grain` units each; one (empty) block for 0 units.
Blocks blocks_of(int64_t units, int64_t grain, int64_t most);

}  // namespace lgms
