#pragma once
// Batches of prepared examples, made ahead of time on a thread of their own.
#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "core/isa.h"
#include "core/rng.h"
#include "nn/data/dataset.h"

namespace lgms::nn {

// What the network takes of one example: image [D, H, W, C]; target [D, H, W, K], or labels i64 [D, H, W].
struct Input {
  Tensor image, target;
};
// Makes an input of an example; draws from rng, if there is one, to augment it. Runs on the loader's thread.
using Prepare = std::function<Input(const Example& example, Rng* rng)>;

struct Batch {
  int64_t index;                  // 0 .. batches - 1
  std::vector<int64_t> examples;  // indices into the data set, one per entry of the batch
  Tensor images, targets;         // [N, ...]
};

struct LoaderOptions {
  int64_t batch = 8;
  bool training = true;  // shuffled and augmented; else in order, and prepare gets no rng
  uint64_t seed = 0;
  int64_t epoch = 0;
  int64_t first = 0;  // the batch to start with
  int64_t crops = 1;  // times that an example is prepared, one after another, each with random numbers of its own
  size_t ahead = 2;   // batches that may lie ready
};

// 0 .. n - 1 in the order of an epoch: Fisher-Yates with the numbers of Purpose::shuffle.
std::vector<int64_t> shuffled(int64_t n, uint64_t seed, int64_t epoch);
// The last, smaller batch counts.
inline int64_t batches_of(int64_t examples, int64_t batch) { return (examples + batch - 1) / batch; }

// One epoch over a data set, which must outlive it. What a batch holds depends on the options alone: the random numbers
// of an example's crop are those of (seed, epoch, example * crops + crop).
class Loader {
 public:
  // Throws Error{device} where the system gives no thread.
  Loader(const Dataset& data, Prepare prepare, LoaderOptions options);
  ~Loader();  // stops the thread after the example in hand
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  // The next batch, nothing after the last. Waits for it; rethrows what reading or preparing it threw. Throws
  // Error{interrupted} where it would wait on and the context's stop token is set.
  std::optional<Batch> next();
  double seconds_waited() const { return waited_; }  // in next(), so far

 private:
  void work(Isa isa);
  std::optional<Batch> make(int64_t index) const;  // nothing once stop_ is set

  const Dataset& data_;
  Prepare prepare_;
  LoaderOptions options_;
  std::vector<int64_t> order_;
  int64_t batches_;
  double waited_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Batch> ready_;
  std::exception_ptr error_;
  bool finished_ = false;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace lgms::nn
