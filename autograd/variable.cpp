#include "autograd/variable.h"

#include <algorithm>
#include <atomic>
#include <queue>
#include <unordered_set>
#include <utility>

#include "core/error.h"
#include "kernels/add/add.h"

namespace lgms::autograd {
namespace {

struct Mode {
  bool recording = true, first_pass = false, recomputing = false;  // the last two: of a checkpoint's f
};
thread_local Mode mode;
std::atomic<uint64_t> next_sequence{1};

// Another mode for a scope.
class ModeScope {
 public:
  explicit ModeScope(Mode inside) : before_(mode) { mode = inside; }
  ~ModeScope() { mode = before_; }
  ModeScope(const ModeScope&) = delete;
  ModeScope& operator=(const ModeScope&) = delete;

 private:
  Mode before_;
};

}  // namespace

struct Variable::Node {
  Shape shape;  // of the value and its gradient
  DType dtype;
  Tensor grad;
  bool requires_grad = false;
  // Of an op; leaves have none of these.
  const char* op = nullptr;
  uint64_t sequence = 0;  // inputs have smaller numbers than results
  std::vector<std::shared_ptr<Node>> inputs;
  std::vector<Saved> saved;  // for backward, then for remake
  size_t for_backward = 0;   // how many
  Backward backward;
  Remake remake;
  Segment segment;  // of a checkpoint, which has no backward

  // The first `count` saved tensors. Throws Error{internal} where one was written to since.
  std::vector<Tensor> load(size_t count) const {
    std::vector<Tensor> tensors;
    tensors.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      check(saved[i].tensor_.version() == saved[i].version_, ErrorKind::internal, "[backward] ", op, ": saved tensor ",
            i, " was written to in place after forward");
      const Node* source = saved[i].made_by_.get();
      tensors.push_back(source ? source->remake(source->load(source->saved.size())) : saved[i].tensor_);
    }
    return tensors;
  }
  // Adds to the gradient: in place where the sum is nobody else's; else into whichever of the two is free; else into a
  // new tensor.
  void add(Tensor gradient) {
    if (!grad.defined()) {
      grad = std::move(gradient);
      return;
    }
    Tensor sum = grad.unique()       ? grad
                 : gradient.unique() ? gradient
                                     : Tensor::empty(gradient.shape(), gradient.dtype());
    kernels::add_forward(grad, gradient, sum);
    grad = std::move(sum);
  }
  // Forgets everything that backward needed.
  void release() {
    inputs.clear();
    saved.clear();
    backward = nullptr;
    remake = nullptr;
    segment = nullptr;
  }

  // Drops long chains of nodes without recursion, and without taking memory: nodes that nobody else holds wait in a
  // list through next_orphan.
  ~Node() {
    std::shared_ptr<Node> orphans;
    const auto let_go = [&orphans](Node& node) {
      node.saved.clear();  // of these, inputs hold the nodes too
      for (auto& input : node.inputs) {
        if (input && input.use_count() == 1) {
          input->next_orphan = std::move(orphans);
          orphans = std::move(input);
        }
        input = nullptr;
      }
    };
    let_go(*this);
    while (orphans) {
      const std::shared_ptr<Node> node = std::move(orphans);
      orphans = std::move(node->next_orphan);
      let_go(*node);
    }
  }

 private:
  std::shared_ptr<Node> next_orphan;
};

Saved::Saved(const Variable& value) {
  if (value.node_ && value.node_->remake)
    made_by_ = value.node_;
  else
    *this = value.value();
}

Variable::Variable(Tensor value, bool requires_grad) : value_(std::move(value)), node_(std::make_shared<Node>()) {
  node_->shape = value_.shape();
  node_->dtype = value_.dtype();
  node_->requires_grad = requires_grad;
}

Variable Variable::from_op(const char* op, Tensor value, std::vector<Variable> inputs, std::vector<Saved> saved,
                           Backward backward) {
  return from_op(op, std::move(value), std::move(inputs), std::move(saved), std::move(backward), {}, {});
}

Variable Variable::from_op(const char* op, Tensor value, std::vector<Variable> inputs, std::vector<Saved> saved,
                           Backward backward, Remake remake, std::vector<Saved> for_remake) {
  const bool needed =
      mode.recording && std::any_of(inputs.begin(), inputs.end(), [](const Variable& v) { return v.requires_grad(); });
  Variable result(std::move(value), needed);
  if (!needed) return result;
  Node& node = *result.node_;
  node.op = op;
  node.sequence = next_sequence.fetch_add(1, std::memory_order_relaxed);
  node.inputs.reserve(inputs.size());
  for (Variable& input : inputs) node.inputs.push_back(std::move(input.node_));
  node.for_backward = saved.size();
  node.saved = std::move(saved);
  for (Saved& s : for_remake) node.saved.push_back(std::move(s));
  node.backward = std::move(backward);
  node.remake = std::move(remake);
  return result;
}

Variable checkpoint(std::vector<Variable> inputs, Segment f) {
  if (!mode.recording) return f(inputs);
  Tensor value;
  {
    const ModeScope first_pass({.recording = false, .first_pass = true, .recomputing = mode.recomputing});
    value = f(inputs).value();
  }
  Variable result(std::move(value), true);
  Variable::Node& node = *result.node_;
  node.op = "checkpoint";
  node.sequence = next_sequence.fetch_add(1, std::memory_order_relaxed);
  for (const Variable& input : inputs) {
    node.saved.emplace_back(input);
    node.inputs.push_back(input.node_);
  }
  node.segment = std::move(f);
  return result;
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
  check(gradient.shape() == input.shape && gradient.dtype() == input.dtype, ErrorKind::internal, "[", node_.op,
        "] gradient of input ", i, ": expected ", input.dtype, " ", input.shape, ", got ", gradient.dtype(), " ",
        gradient.shape());
  input.add(std::move(gradient));
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
  std::unordered_set<uint64_t> seen;  // sequence numbers: a checkpoint's new nodes may take the place of freed ones
  root.node_->grad = seed.defined() ? seed : Tensor::full(root.shape(), 1.0, root.value().dtype());
  if (root.node_->op == nullptr) return;
  pending.push(root.node_);
  seen.insert(root.node_->sequence);
  const NoGrad no_grad;
  while (!pending.empty()) {
    const std::shared_ptr<Node> node = pending.top();
    pending.pop();
    check(node->backward || node->segment, ErrorKind::internal, "[backward] ", node->op,
          ": expected a graph that was not walked before");
    const Tensor dy = std::move(node->grad);  // absent where no later op put anything
    node->grad = {};
    if (node->segment && dy.defined()) {
      // The segment's own nodes take its place, newer than all that is pending, as they were without a checkpoint.
      std::vector<Variable> inputs;
      const std::vector<Tensor> values = node->load(node->saved.size());
      for (size_t i = 0; i < values.size(); ++i) {
        inputs.emplace_back();
        inputs[i].value_ = values[i];
        inputs[i].node_ = node->inputs[i];
      }
      const ModeScope again({.recomputing = true});
      const std::shared_ptr<Node> end = node->segment(inputs).node_;
      end->add(dy);
      node->release();
      if (end->op != nullptr && seen.insert(end->sequence).second) pending.push(end);
      continue;
    }
    if (dy.defined()) {
      Grads grads(*node);
      std::vector<Tensor> saved = node->load(node->for_backward);
      node->saved.clear();
      const Backward op = std::exchange(node->backward, nullptr);
      op(saved, dy, grads);
    }
    for (const std::shared_ptr<Node>& input : node->inputs)
      if (input && input->requires_grad && input->op != nullptr && seen.insert(input->sequence).second)
        pending.push(input);
    node->release();
  }
}

NoGrad::NoGrad() : before_(mode.recording) { mode.recording = false; }
NoGrad::~NoGrad() { mode.recording = before_; }
bool recording() { return mode.recording; }
bool gradients_enabled() { return mode.recording || mode.first_pass; }
bool recomputing() { return mode.recomputing; }

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
    for (const Saved& saved : node->saved)
      if (const Tensor& t = saved.tensor_; t.defined())
        rows.push_back({node->op, t.shape(), counted.insert(t.storage_id()).second ? t.storage_bytes() : 0});
  return rows;
}

}  // namespace lgms::autograd
