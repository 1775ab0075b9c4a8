#include "core/context.h"

#include <algorithm>
#include <cstdlib>

#include "core/error.h"

namespace lgms {
namespace {

thread_local Context* current_context = nullptr;
thread_local const Context::MemoryScope* current_memory = nullptr;

Isa isa_from_environment() {
  const char* name = std::getenv("LGMS_ISA");
  return name && *name ? isa_from_name(name) : best_isa();
}

Provider provider_from_environment() {
  const char* name = std::getenv("LGMS_PROVIDER");
  return name && *name ? provider_from_name(name) : Provider::own;
}

}  // namespace

Context::Context(ContextOptions options)
    : options_(std::move(options)),
      threads_(options_.threads == 0 ? available_cpus() : options_.threads),
      isa_(options_.isa ? *options_.isa : isa_from_environment()),
      provider_(options_.provider ? *options_.provider : provider_from_environment()),
      allocator_(std::make_shared<HostAllocator>(options_.memory_limit, options_.lean)) {
  check(threads_ >= 1 && threads_ <= kMostThreads, ErrorKind::usage, "[context] threads: expected 0 to ", kMostThreads,
        ", got ", options_.threads);
  check(options_.memory_limit >= 0, ErrorKind::usage, "[context] memory_limit: expected 0 (none) or more, got ",
        options_.memory_limit);
  check(supported(isa_), ErrorKind::device, "[isa] ", name_of(isa_), ": this CPU has no more than ",
        name_of(best_isa()));
  check(supported(provider_), ErrorKind::device, "[provider] ", name_of(provider_),
        ": not in this build; get it with tools/onednn.sh, configure with -DLGMS_ONEDNN=ON and build again");
  const Precision precision = options_.precision;
  check(supported(precision), ErrorKind::device, "[precision] ", name_of(precision), ": it needs ", need_of(precision),
        ", which this CPU lacks");
  check(precision == Precision::f32 || (isa_ == Isa::avx512 && provider_ == Provider::own), ErrorKind::usage,
        "[precision] ", name_of(precision), ": expected instruction set avx512 and our own convolutions, got ",
        name_of(isa_), " and ", name_of(provider_), "; LGMS_ISA or LGMS_PROVIDER may be set");
  if (!options_.executor) pool_ = std::make_unique<ThreadPool>(threads_);
}

Context::MemoryScope::MemoryScope(const Context& context, std::shared_ptr<Allocator> memory)
    : context_(context), memory_(std::move(memory)), before_(current_memory) {
  current_memory = this;
}
Context::MemoryScope::~MemoryScope() { current_memory = before_; }

std::shared_ptr<Allocator> Context::memory() const {
  const MemoryScope* scope = current_memory;
  while (scope != nullptr && &scope->context_ != this) scope = scope->before_;
  if (scope == nullptr) return allocator_;
  return scope->memory_;
}

std::shared_ptr<Allocator> Context::memory(Device device) const {
  if (device == Device::cpu) return memory();
  check(device == this->device(), ErrorKind::device, "[context] device: expected cpu",
        options_.device ? text(" or ", this->device()) : "", ", got ", device);
  return options_.device;
}

std::string Context::arithmetic() const {
  return text(name_of(isa_), provider_ == Provider::own ? "" : text('+', name_of(provider_)),
              precision() == Precision::f32 ? "" : text('+', name_of(precision())));
}

Context& Context::current() {
  if (current_context) return *current_context;
  thread_local Context own;
  return own;
}

Context::Scope::Scope(Context& context) : before_(current_context) { current_context = &context; }
Context::Scope::~Scope() { current_context = before_; }

void Context::parallel(int64_t pieces, FunctionRef<void(int64_t, int)> body) {
  if (pool_)
    pool_->run(pieces, body);
  else
    options_.executor(pieces, body);
}

void parallel_ranges(int64_t units, int64_t grain, FunctionRef<void(int64_t, int64_t, int)> body) {
  if (units <= 0) return;
  Context& context = Context::current();
  const Blocks blocks = blocks_of(units, grain, context.threads() == 1 ? 1 : int64_t{4} * context.threads());
  context.parallel(blocks.count, [&](int64_t block, int worker) {
    if (blocks.first(block) < blocks.last(block)) body(blocks.first(block), blocks.last(block), worker);
  });
}

Blocks blocks_of(int64_t units, int64_t grain, int64_t most) {
  return {units, std::clamp<int64_t>(units / std::max<int64_t>(grain, 1), 1, std::max<int64_t>(most, 1))};
}

}  // namespace lgms
