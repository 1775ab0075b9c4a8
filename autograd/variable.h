#pragma once
// Reverse-mode differentiation: a Variable is a tensor that remembers the op that made it.
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace lgms::autograd {

class Grads;
class Saved;
// The backward half of an op: from what forward saved and dy = dL/dy, put dL/d(input i) with grads.put(i, ...).
// Closures capture numbers, never tensors, so that the saved list is all that is alive; it is the closure's, which may
// let go of a tensor before it makes another one.
using Backward = std::function<void(std::span<Tensor> saved, const Tensor& dy, Grads& grads)>;
// Makes the value of an op again, bit for bit, from what the op saved and then what it saved for this.
using Remake = std::function<Tensor(std::span<const Tensor> saved)>;

class Variable;
// A part of a network: what it returns depends on its inputs, on parameters that outlive the graph, and on copies that
// it holds itself.
using Segment = std::function<Variable(std::span<const Variable> inputs)>;

// A value in the graph. Copying shares it. A default one is undefined: an absent bias, say.
class Variable {
 public:
  Variable() = default;
  // A leaf: an input (requires_grad false) or a parameter (true).
  explicit Variable(Tensor value, bool requires_grad = false);

  // The result of an op: op names it; saved: what backward will read. With gradients off, or where no input needs one,
  // nothing but the value is kept.
  static Variable from_op(const char* op, Tensor value, std::vector<Variable> inputs, std::vector<Saved> saved,
                          Backward backward);
  // That of an op that costs little: whoever saves its value saves remake instead, and the value is made again.
  // for_remake: what that reads beyond saved.
  static Variable from_op(const char* op, Tensor value, std::vector<Variable> inputs, std::vector<Saved> saved,
                          Backward backward, Remake remake, std::vector<Saved> for_remake);

  bool defined() const { return node_ != nullptr; }
  const Tensor& value() const { return value_; }
  const Shape& shape() const { return value().shape(); }
  bool requires_grad() const;
  // dL/d(this) after backward(); undefined before. Kept for leaves only. Accumulates until clear_grad.
  const Tensor& grad() const;
  void clear_grad() const;

 private:
  friend class Grads;
  friend class Saved;
  friend Variable checkpoint(std::vector<Variable>, Segment);
  friend void backward(const Variable&, const Tensor&);
  friend std::vector<struct SavedTensor> saved_tensors(const Variable&);
  struct Node;
  Tensor value_;  // not in the node: the graph keeps what ops saved, and no other value
  std::shared_ptr<Node> node_;
};

// A tensor that backward will read: kept, or made again where it is the value of an op that has a remake.
class Saved {
 public:
  Saved(Tensor tensor) : tensor_(std::move(tensor)), version_(tensor_.version()) {}
  Saved(const Variable& value);

 private:
  friend class Variable;
  friend void backward(const Variable&, const Tensor&);
  friend std::vector<struct SavedTensor> saved_tensors(const Variable&);
  Tensor tensor_;
  uint64_t version_ = 0;
  std::shared_ptr<Variable::Node> made_by_;  // absent where tensor_ is kept
};

// Where backward puts its results. An input that needs no gradient (the image under the stem, an undefined bias) is
// absent: ask wants(i) before computing it.
class Grads {
 public:
  bool wants(size_t i) const;
  // dL/d(input i). The tensor may share storage with dy, or be used for several inputs: it is never written to once it
  // is shared. A second contribution to the same value is added to the first. Throws Error{internal} on a wrong shape.
  void put(size_t i, Tensor gradient);

 private:
  friend void backward(const Variable&, const Tensor&);
  explicit Grads(const Variable::Node& node) : node_(node) {}
  const Variable::Node& node_;
};

// Walks the graph back from root, newest op first, adding to the grad of every leaf that requires one; what ops saved
// is freed as it is passed, so a graph can be walked once. seed: dL/d(root), absent for a scalar root (then 1).
// Throws Error{internal} where a saved tensor was written to in place since, or the graph was walked before.
void backward(const Variable& root, const Tensor& seed = {});

// While one is alive this thread records nothing.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool before_;
};
bool recording();

// f(inputs), of which backward keeps the inputs only: it runs f again when it gets there. Values and gradients have the
// bits that they have without. Source: Chen et al. 2016, "Training deep nets with sublinear memory cost".
Variable checkpoint(std::vector<Variable> inputs, Segment f);
// Whether gradients will be asked for: while recording, and while a checkpoint runs its f for the first time.
bool gradients_enabled();
// While a checkpoint runs its f again: what f did to anything but its result is not to be done twice.
bool recomputing();

// What the graph under root keeps alive for backward: one row per saved tensor, storage shared by several rows counted
// in the first.
struct SavedTensor {
  std::string op;
  Shape shape;
  int64_t bytes;  // 0 where an earlier row already counted the storage
};
std::vector<SavedTensor> saved_tensors(const Variable& root);

}  // namespace lgms::autograd
