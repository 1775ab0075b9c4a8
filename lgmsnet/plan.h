#pragma once
// The network for inputs of one shape, compiled into what runs: steps fused, rows picked, weights packed, constants
// computed, a place in one arena for every value and every scratch.
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>
#include <variant>
#include <vector>

#include "lgmsnet/steps.h"

namespace lgms {

// What a step is prepared as; nothing for a concat, which is copies.
using PreparedStep = std::variant<std::monostate, kernels::PreparedConvolution<float>, kernels::PreparedDepthwise,
                                  kernels::PreparedMultiscaleDepthwise, kernels::PreparedNorm,
                                  kernels::PreparedLayerNorm, kernels::PreparedAttention, kernels::PreparedActivation,
                                  kernels::PreparedAdd, kernels::PreparedUpsample, kernels::PreparedUpConvolution,
                                  kernels::PreparedPointwisePair, kernels::PreparedMaxPool>;

// Where everything lies that steps write; the input is the caller's. What is alive at once does not overlap; offsets
// are multiples of 64 bytes.
struct Arena {
  std::vector<int64_t> values;   // byte offsets of Steps::values that are their own storage; -1: it is never stored
  std::vector<int64_t> scratch;  // byte offset of what each step takes while it runs
  std::vector<int64_t> moments;  // byte offset of those that a step leaves to the next one
  int64_t bytes = 0;
  int64_t least = 0;  // the largest sum of what is alive at once: no arena is smaller
};
// In the current context, whose threads and instruction set decide about scratch.
Arena arena_of(const Steps& list, const std::vector<PreparedStep>& prepared);

// Weights of one network as rows read them, made once for all its plans. Thread-safe.
class PackedWeights {
 public:
  // What make(packed) wrote for these weights and this row the first time. bytes: a multiple of 64, of the current
  // context's.
  template <class Make>
  const float* get(const void* weights, const void* row, int64_t bytes, const Make& make) {
    const std::lock_guard lock(mutex_);
    Tensor& packed = packed_[{weights, row, bytes}];
    if (!packed.defined()) {
      const Tensor made = Tensor::empty(Device::cpu, {bytes / int64_t{sizeof(float)}});
      make(made.data<float>());
      packed = made;
    }
    return packed.data<float>();
  }
  int64_t bytes() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::tuple<const void*, const void*, int64_t>, Tensor> packed_;
};

// What Inference::forward takes in the current context, by shapes alone.
struct ForwardCost {
  int64_t peak_bytes = 0;    // of tensors in use at once: input and arena, which the logits keep
  int64_t packed_bytes = 0;  // of weights as rows read them, made by the first run and kept with the network
};
ForwardCost forward_cost(const Config& config, const Shape& x);

// What a step does. flop: 2 per multiply-add of its definition; products: of those that its row does (Winograd's F(4,3)
// needs a quarter, an up-convolution a quarter or an eighth). bytes: of inputs, output and weights, each once.
struct StepWork {
  double flop, products, bytes;
  Precision precision;  // of the products
};

// Called after every step of a plan.
using AfterStep = std::function<void(size_t step)>;

// Immutable: several threads may run one plan at once, each with an arena of its own.
class Plan {
 public:
  // parameters: in the order of parameter_specs, f32 of the host, shared. For contexts with the threads, the
  // instruction set, the provider, the precision and the smallness of the current one. Throws Error{usage} where x or
  // the parameters do not fit the network.
  Plan(const Config& config, std::vector<Tensor> parameters, std::shared_ptr<PackedWeights> packed, const Shape& x);

  const Shape& input() const { return input_; }
  const Shape& output() const { return output_; }
  const Arena& arena() const { return arena_; }
  // What it runs, in this order; the implementation that each of them is left to; the weights that it reads in a run.
  const Steps& steps() const { return list_; }
  const char* row_of(size_t step) const;
  const PackedWeights& packed() const { return *packed_; }
  StepWork work_of(size_t step) const;
  int64_t scratch_bytes(size_t step) const;
  // Whether a context is one that the plan is for.
  bool fits(const Context& context) const;

  // x: input(), f32 of the host, dense, outside of the arena, which is at least arena().bytes bytes of the host, dense,
  // 64-byte aligned. The logits are dense and lie in the arena. Allocates nothing. The same bits whatever the number of
  // threads. Throws Error{usage} where x, the arena or the current context does not fit.
  TensorView run(const TensorView& x, const TensorView& arena, const AfterStep& after = {}) const;
  // With an arena of the current context, which the logits share and keep.
  Tensor run(const Tensor& x) const;

 private:
  struct Place {
    enum class In : uint8_t { nowhere, arena, input } in = In::nowhere;
    int64_t offset = 0;  // bytes
  };
  struct Part {  // of a concat, that is copied to its channels from `first` on
    size_t input;
    int64_t first, channels, stride;
  };
  struct Operation {
    PreparedStep prepared;
    std::vector<Place> inputs;
    Place output;
    int64_t scratch;                                          // offset in the arena
    const float *packed = nullptr, *weights = nullptr;        // weights: of a convolution, as the network has them
    const float *gamma = nullptr, *beta = nullptr;            // of a norm
    kernels::Epilogue<kernels::Strided<float>> between = {};  // of a pointwise_pair
    kernels::Fusing<float> fusing = {};                       // of a convolution; what it has in the arena is at
    Place residual = {}, read_residual = {}, tables = {}, moments = {};  // moments: left to the norm behind it
    bool tables_only = false;                                            // of a norm
    std::vector<Part> parts = {};                                        // of a concat
    int64_t rows = 0, stride = 0;                                        // of its output
    bool unstored = false;             // a convolution whose output nobody stores: it only leaves its moments
    const Operation* again = nullptr;  // of a convolution: the unstored one that makes what it reads
  };
  // The memory of one run.
  struct Bases {
    char *arena, *input;
    float* at(const Place& place) const {
      if (place.in == Place::In::nowhere) return nullptr;
      return reinterpret_cast<float*>((place.in == Place::In::input ? input : arena) + place.offset);
    }
  };

  void take_weights(const Step& of, const Tensor* parameters, Operation& operation);
  // An epilogue whose bias and norm are among parameters [first, last) of a step.
  kernels::Epilogue<kernels::Strided<float>> constants_of(const Epilogue<std::optional<int>>& of,
                                                          const Tensor* parameters, size_t first, size_t last);
  void run(size_t step, const Bases& bases) const;
  kernels::Fusing<float> fusing_of(const Operation& operation, const Bases& bases) const;
  void run_in_blocks(const Operation& operation, const float* packed, const Bases& bases) const;

  std::vector<Tensor> parameters_, constants_;
  std::shared_ptr<PackedWeights> packed_;
  std::vector<Operation> operations_;
  Steps list_;
  Shape input_, output_;
  Place logits_;
  Arena arena_;
  int threads_;
  Isa isa_;
  Provider provider_;
  Precision precision_;
  bool small_;
};

// The plans of one network, made when they are asked for; the last ones are kept, until a parameter is written to.
// Thread-safe.
class Plans {
 public:
  // For x and the current context.
  std::shared_ptr<const Plan> get(const Config& config, const std::vector<Tensor>& parameters, const Shape& x);

 private:
  static constexpr size_t kMost = 4;
  std::mutex mutex_;
  std::vector<std::shared_ptr<const Plan>> plans_;  // the latest last
  std::shared_ptr<PackedWeights> packed_;
  uint64_t version_ = 0;  // of the parameters that were packed
};

}  // namespace lgms
