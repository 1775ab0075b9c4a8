#include "core/step_memory.h"

#include <algorithm>
#include <exception>

#include "core/arena.h"
#include "core/error.h"

namespace lgms {

StepMemory::Step::Step(std::shared_ptr<StepMemory> memory, const Shape& kind)
    : memory_(std::move(memory)), scope_(Context::current(), memory_), exceptions_(std::uncaught_exceptions()) {
  memory_->begin(kind);
}

StepMemory::Step::~Step() { memory_->end(std::uncaught_exceptions() == exceptions_); }

void StepMemory::begin(const Shape& kind) {
  const std::lock_guard lock(mutex_);
  check(!in_step_, ErrorKind::internal, "[step_memory] expected the end of a step before the next one");
  const auto found = std::find_if(records_.begin(), records_.end(), [&](const Record& r) { return r.kind == kind; });
  if (found == records_.end()) {
    if (records_.size() == kMostRecords) records_.erase(records_.begin());
    records_.push_back({.kind = kind});
    drop_arena();
    host_->trim();  // small blocks are not made of what was large
    state_ = State::writing;
  } else {
    std::rotate(found, found + 1, records_.end());
    Record& record = records_.back();
    if (!record.planned) plan(record);
    // A block that an earlier step left in the arena may be anywhere in it.
    if (held_ == 0 && take_arena(record.bytes)) state_ = State::following;
    now_ = 0;
  }
  in_step_ = true;
}

void StepMemory::end(bool whole) noexcept {
  const std::lock_guard lock(mutex_);
  if (state_ == State::writing && !whole) records_.pop_back();
  state_ = State::passing;
  in_step_ = false;
}

void StepMemory::plan(Record& record) {
  constexpr int64_t alignment = 64;
  std::vector<Room> rooms;
  for (Block& b : record.blocks)
    if (b.last != kNever)
      rooms.push_back({static_cast<int64_t>(b.first), static_cast<int64_t>(b.last),
                       std::max(alignment, (b.bytes + alignment - 1) / alignment * alignment), &b.offset});
  record.bytes = place(rooms);
  record.planned = true;
}

// Whether there is an arena of so many bytes.
bool StepMemory::take_arena(int64_t bytes) {
  if (arena_bytes_ >= bytes) return true;
  drop_arena();
  try {
    arena_ = static_cast<char*>(host_->allocate(bytes));
  } catch (const Error&) {  // the step may do with less; if not, it says so
    return false;
  }
  arena_bytes_ = bytes;
  host_->trim();  // what the blocks of the first step were is needed no more
  return true;
}

void StepMemory::drop_arena() noexcept {
  if (held_ > 0) return;
  host_->release(arena_, arena_bytes_);
  arena_ = nullptr;
  arena_bytes_ = 0;
}

void StepMemory::give_back() noexcept {
  const std::lock_guard lock(mutex_);
  drop_arena();
}

bool StepMemory::in_arena(const void* block) const {
  const auto at = reinterpret_cast<uintptr_t>(block), first = reinterpret_cast<uintptr_t>(arena_);
  return at >= first && at - first < static_cast<uintptr_t>(arena_bytes_);
}

// What a step that follows its record takes or gives back next.
StepMemory::Block* StepMemory::next_block() {
  Record& record = records_.back();
  return now_ < record.times.size() ? &record.blocks[record.times[now_]] : nullptr;
}

void* StepMemory::allocate(int64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (state_ == State::following) {
    if (Block* const next = next_block(); next != nullptr && next->first == now_ && next->bytes == bytes) {
      const bool stays = next->last != kNever;
      void* const at = stays ? arena_ + next->offset : host_->allocate(bytes);
      next->at = at;
      held_ += stays;
      ++now_;
      return at;
    }
    depart();
  }
  return state_ == State::writing ? allocate_and_write(bytes) : host_->allocate(bytes);
}

void StepMemory::release(void* block, int64_t bytes) noexcept {
  if (block == nullptr) return;
  const std::lock_guard lock(mutex_);
  const bool ours = in_arena(block);
  if (state_ == State::following && ours) {
    if (const Block* const next = next_block(); next != nullptr && next->last == now_ && next->at == block)
      ++now_;
    else
      depart();
  }
  if (state_ == State::writing) write_release(block);
  if (ours)
    --held_;
  else
    host_->release(block, bytes);
}

// The record is that of this step, so far. Blocks of the arena stay where they are; no more are taken.
void StepMemory::depart() noexcept {
  Record& record = records_.back();
  record.times.resize(now_);
  while (!record.blocks.empty() && record.blocks.back().first >= now_) record.blocks.pop_back();
  for (Block& b : record.blocks)
    if (b.last >= now_) b.last = kNever;
  record.planned = false;
  state_ = State::writing;
}

void* StepMemory::allocate_and_write(int64_t bytes) {
  std::vector<Block>& blocks = records_.back().blocks;
  std::vector<size_t>& times = records_.back().times;
  if (blocks.size() == blocks.capacity()) blocks.reserve(std::max<size_t>(256, 2 * blocks.size()));
  times.reserve(2 * blocks.capacity());  // taken and given back, so that write_release needs no memory
  void* const at = host_->allocate(bytes);
  blocks.push_back({bytes, times.size(), kNever, at});
  times.push_back(blocks.size() - 1);
  return at;
}

void StepMemory::write_release(const void* block) noexcept {
  Record& record = records_.back();
  const auto found = std::find_if(record.blocks.rbegin(), record.blocks.rend(),
                                  [&](const Block& b) { return b.at == block && b.last == kNever; });
  if (found == record.blocks.rend()) return;  // of an earlier step
  found->last = record.times.size();
  record.times.push_back(static_cast<size_t>(&*found - record.blocks.data()));
}

}  // namespace lgms
