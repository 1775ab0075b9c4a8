#include "nn/data/loader.h"

#include <algorithm>
#include <chrono>
#include <numeric>

#include "core/context.h"
#include "core/error.h"

namespace lgms::nn {
namespace {

constexpr auto kPatience = std::chrono::milliseconds(50);

// [N, ...] of N tensors of one shape, copied.
Tensor stack(const std::vector<Tensor>& parts, const std::vector<std::string>& stems) {
  const Shape& one = parts[0].shape();
  std::vector<int64_t> extents{static_cast<int64_t>(parts.size())};
  extents.insert(extents.end(), one.extents().begin(), one.extents().end());
  const Tensor all = Tensor::empty(Device::cpu, Shape(extents), parts[0].dtype());
  for (size_t i = 0; i < parts.size(); ++i) {
    check(parts[i].shape() == one && parts[i].dtype() == parts[0].dtype(), ErrorKind::internal, "[loader] ", stems[i],
          ": expected ", parts[0].dtype(), " ", one, " like ", stems[0], ", got ", parts[i].dtype(), " ",
          parts[i].shape());
    copy(parts[i], all.slice_batch(static_cast<int64_t>(i), 1).reshaped(one));
  }
  return all;
}

}  // namespace

std::vector<int64_t> shuffled(int64_t n, uint64_t seed, int64_t epoch) {
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), int64_t{0});
  Rng rng(seed, Purpose::shuffle, static_cast<uint32_t>(epoch));
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.below(static_cast<uint32_t>(i))]);
  return order;
}

Loader::Loader(const Dataset& data, Prepare prepare, LoaderOptions options)
    : data_(data), prepare_(std::move(prepare)), options_(options), batches_(0) {
  check(options_.batch > 0, ErrorKind::usage, "[loader] batch: expected at least 1, got ", options_.batch);
  check(options_.crops > 0, ErrorKind::usage, "[loader] crops: expected at least 1, got ", options_.crops);
  batches_ = batches_of(data.size() * options_.crops, options_.batch);
  if (options_.training) {
    order_ = shuffled(data.size(), options_.seed, options_.epoch);
  } else {
    order_.resize(static_cast<size_t>(data.size()));
    std::iota(order_.begin(), order_.end(), int64_t{0});
  }
  check(options_.first >= 0 && options_.first <= batches_, ErrorKind::usage, "[loader] first: expected 0 to ", batches_,
        ", got ", options_.first);
  thread_ = start_thread([this, isa = Context::current().isa()] { work(isa); });
}

Loader::~Loader() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

std::optional<Batch> Loader::next() {
  const auto start = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  // A signal handler cannot wake who waits here.
  while (!changed_.wait_for(lock, kPatience, [&] { return !ready_.empty() || finished_; }))
    check(!Context::current().stop().requested(), ErrorKind::interrupted, "[loader] stopped while waiting for a batch");
  waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (ready_.empty()) {
    if (error_) std::rethrow_exception(error_);
    return std::nullopt;
  }
  Batch batch = std::move(ready_.front());
  ready_.pop_front();
  lock.unlock();
  changed_.notify_all();
  return batch;
}

void Loader::work(Isa isa) {
  std::exception_ptr error;
  try {
    Context context({.threads = 1, .isa = isa, .memory_limit = 0, .log = {}, .executor = {}});
    const Context::Scope scope(context);
    for (int64_t index = options_.first; index < batches_; ++index) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return stop_ || ready_.size() < options_.ahead; });
        if (stop_) break;
      }
      std::optional<Batch> batch = make(index);
      if (!batch) break;
      const std::lock_guard lock(mutex_);
      ready_.push_back(std::move(*batch));
      changed_.notify_all();
    }
  } catch (...) { error = std::current_exception(); }
  const std::lock_guard lock(mutex_);
  error_ = error;
  finished_ = true;
  changed_.notify_all();
}

std::optional<Batch> Loader::make(int64_t index) const {
  const int64_t crops = options_.crops, first = index * options_.batch,
                last = std::min(first + options_.batch, data_.size() * crops);
  Batch batch{index, {}, {}, {}};
  std::vector<Tensor> images, targets;
  std::vector<std::string> stems;
  Example example;
  for (int64_t sample = first; sample < last; ++sample) {
    if (stop_) return std::nullopt;
    const int64_t i = order_[static_cast<size_t>(sample / crops)];
    Rng rng(options_.seed, Purpose::augment, static_cast<uint32_t>(options_.epoch),
            static_cast<uint32_t>(i * crops + sample % crops));
    if (batch.examples.empty() || batch.examples.back() != i) example = data_.example(i);
    batch.examples.push_back(i);
    Input input = prepare_(example, options_.training ? &rng : nullptr);
    images.push_back(std::move(input.image));
    targets.push_back(std::move(input.target));
    stems.push_back(example.stem);
  }
  batch.images = stack(images, stems);
  batch.targets = stack(targets, stems);
  return batch;
}

}  // namespace lgms::nn
