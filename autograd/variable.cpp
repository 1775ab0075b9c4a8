#include "autograd/variable.h"

#include <algorithm>
#include <atomic>
#include <queue>
#include <unordered_set>

#include "core/error.h"
#include "kernels/add/add.h"

namespace lgms::autograd {
namespace {

thread_local bool recording = true;
std::atomic<uint64_t> next_sequence{1};

}  // namespace

struct Variable::Node {
  Tensor value, grad;
  bool requires_grad = false;
  // Of an op; leaves have none of these.
  const char* op = nullptr;
  uint64_t sequence = 0;  // inputs have smaller numbers than results
  std::vector<std::shared_ptr<Node>> inputs;
  std::vector<Tensor> saved;
  std::vector<uint64_t> saved_versions;
  Backward backward;

  // Drops long chains of nodes without recursion.
  ~Node() {
    std::vector<std::shared_ptr<Node>> orphans(std::move(inputs));
    while (!orphans.empty()) {
      const std::shared_ptr<Node> node = std::move(orphans.back());
      orphans.pop_back();
      if (node && node.use_count() == 1)
        for (auto& input : node->inputs) orphans.push_back(std::move(input));
    }
  }
};

Variable::Variable(Tensor value, bool requires_grad) : node_(std::make_shared<Node>()) {
  node_->value = std::move(value);
  node_->requires_grad = requires_grad;
}

Variable Variable::from_op(const char* op, Tensor value, std::vector<Variable> inputs, std::vector<Tensor> saved,
                           Backward backward) {
  const bool needed =
      recording && std::any_of(inputs.begin(), inputs.end(), [](const Variable& v) { return v.requires_grad(); });
  Variable result(std::move(value), needed);
  if (!needed) return result;
  Node& node = *result.node_;
  node.op = op;
  node.sequence = next_sequence.fetch_add(1, std::memory_order_relaxed);
  for (Variable& input : inputs) node.inputs.push_back(std::move(input.node_));
  for (const Tensor& t : saved) node.saved_versions.push_back(t.version());
  node.saved = std::move(saved);
  node.backward = std::move(backward);
  return result;
}

const Tensor& Variable::value() const {
  static const Tensor undefined;
  return node_ ? node_->value : undefined;
}
bool Variable::requires_grad() const { return node_ && node_->requires_grad; }
const Tensor& Variable::grad() const {
  check(defined(), ErrorKind::internal, "[autograd] grad of an undefined variable");
  return node_->grad;
}
void Variable::clear_grad() const {
  if (node_) node_->grad = {};
}

bool Grads::wants(size_t i) const { return node_.inputs[i] && node_.inputs[i]->requires_grad; }

void Grads::put(size_t i, Tensor gradient) {
  if (!wants(i)) return;
  Variable::Node& input = *node_.inputs[i];
  check(gradient.shape() == input.value.shape() && gradient.dtype() == input.value.dtype(), ErrorKind::internal, "[",
        node_.op, "] gradient of input ", i, ": expected ", input.value.dtype(), " ", input.value.shape(), ", got ",
        gradient.dtype(), " ", gradient.shape());
  if (!input.grad.defined()) {
    input.grad = std::move(gradient);
    return;
  }
  // In place where the sum is nobody else's; else into whichever of the two is free; else into a new tensor.
  Tensor sum = input.grad.unique() ? input.grad
               : gradient.unique() ? gradient
                                   : Tensor::empty(gradient.shape(), gradient.dtype());
  kernels::add_forward(input.grad, gradient, sum);
  input.grad = std::move(sum);
}

void backward(const Variable& root, const Tensor& seed) {
  using Node = Variable::Node;
  check(root.requires_grad(), ErrorKind::internal, "[backward] root: expected a variable that requires a gradient");
  check(seed.defined() || root.value().numel() == 1, ErrorKind::usage, "[backward] seed: expected one for shape ",
        root.shape());
  const auto older = [](const std::shared_ptr<Node>& a, const std::shared_ptr<Node>& b) {
    return a->sequence < b->sequence;
  };
  std::priority_queue<std::shared_ptr<Node>, std::vector<std::shared_ptr<Node>>, decltype(older)> pending(older);
  std::unordered_set<const Node*> seen;
  root.node_->grad = seed.defined() ? seed : Tensor::full(root.shape(), 1.0, root.value().dtype());
  if (root.node_->op == nullptr) return;
  pending.push(root.node_);
  seen.insert(root.node_.get());
  const NoGrad no_grad;
  while (!pending.empty()) {
    const std::shared_ptr<Node> node = pending.top();
    pending.pop();
    check(node->backward != nullptr, ErrorKind::internal, "[backward] ", node->op,
          ": expected a graph that was not walked before");
    for (size_t i = 0; i < node->saved.size(); ++i)
      check(node->saved[i].version() == node->saved_versions[i], ErrorKind::internal, "[backward] ", node->op,
            ": saved tensor ", i, " was written to in place after forward");
    if (node->grad.defined()) {  // absent where no later op put anything
      const Tensor dy = std::move(node->grad);
      node->grad = {};
      Grads grads(*node);
      node->backward(node->saved, dy, grads);
    }
    node->saved.clear();
    node->saved_versions.clear();
    node->backward = nullptr;
    for (const std::shared_ptr<Node>& input : node->inputs)
      if (input && input->requires_grad && input->op != nullptr && seen.insert(input.get()).second) pending.push(input);
    node->inputs.clear();
  }
}

NoGrad::NoGrad() : before_(recording) { recording = false; }
NoGrad::~NoGrad() { recording = before_; }
bool gradients_enabled() { return recording; }

std::vector<SavedTensor> saved_tensors(const Variable& root) {
  using Node = Variable::Node;
  std::vector<SavedTensor> rows;
  std::vector<Node*> nodes{root.node_.get()};
  std::unordered_set<const Node*> seen{root.node_.get()};
  for (size_t i = 0; i < nodes.size(); ++i)
    for (const auto& input : nodes[i]->inputs)
      if (input && input->op != nullptr && seen.insert(input.get()).second) nodes.push_back(input.get());
  std::sort(nodes.begin(), nodes.end(), [](const Node* a, const Node* b) { return a->sequence < b->sequence; });
  std::unordered_set<const void*> counted;
  for (const Node* node : nodes)
    for (const Tensor& t : node->saved)
      if (t.defined())
        rows.push_back({node->op, t.shape(), counted.insert(t.storage_id()).second ? t.storage_bytes() : 0});
  return rows;
}

}  // namespace lgms::autograd
