#pragma once
// The host's memory for a step that is done again and again, such as one of a training.
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "core/allocator.h"
#include "core/context.h"
#include "core/shape.h"

namespace lgms {

// What the first step of a kind takes and gives back is written down, in order. The blocks that did not outlive it get
// places in one arena, and the steps that follow find theirs there: they take nothing of the host's allocator. Where a
// step departs from what is written, its blocks come from the host's allocator from there on, and what it does is
// written down in place of the rest. Thread-safe; steps are done by one thread at a time.
class StepMemory final : public Allocator {
 public:
  explicit StepMemory(std::shared_ptr<HostAllocator> host) : host_(std::move(host)) {}
  ~StepMemory() override { give_back(); }
  StepMemory(const StepMemory&) = delete;
  StepMemory& operator=(const StepMemory&) = delete;

  // While one is alive, it is a step, and the host's memory of this thread in the current context comes from here.
  // kind: what the order of blocks depends on, such as the shape of a batch. An exception may end it early. Throws
  // Error{internal} inside of another step of the same memory.
  class Step {
   public:
    Step(std::shared_ptr<StepMemory> memory, const Shape& kind);
    ~Step();
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;

   private:
    std::shared_ptr<StepMemory> memory_;
    Context::MemoryScope scope_;
    int exceptions_;
  };

  Device device() const override { return Device::cpu; }
  // Throws what the host's allocator throws.
  void* allocate(int64_t bytes) override;
  void release(void* block, int64_t bytes) noexcept override;
  void copy(const void* from, int64_t from_stride, void* into, int64_t into_stride, const MemoryRows& rows) override {
    host_->copy(from, from_stride, into, into_stride, rows);
  }
  void fill(void* into, int64_t stride, const MemoryRows& rows, const void* element, int64_t size) override {
    host_->fill(into, stride, rows, element, size);
  }
  // Gives the arena back to the host's allocator until the next step: memory for something else. Does nothing where a
  // block of a step is still in use.
  void give_back() noexcept;

 private:
  // Times are indices into Record::times.
  struct Block {
    int64_t bytes;
    size_t first, last;  // last: kNever where it outlives the step; it is not in the arena then
    const void* at;      // in the step that was last
    int64_t offset = 0;  // in the arena
  };
  struct Record {
    Shape kind;
    std::vector<Block> blocks = {};  // as they are taken
    std::vector<size_t> times = {};  // which block is taken, or given back
    bool planned = false;
    int64_t bytes = 0;  // of the arena
  };
  static constexpr size_t kNever = SIZE_MAX, kMostRecords = 4;
  enum class State { passing, writing, following };  // passing: all is the host's; between steps too

  void begin(const Shape& kind);
  void end(bool whole) noexcept;
  static void plan(Record& record);
  bool take_arena(int64_t bytes);
  void drop_arena() noexcept;
  bool in_arena(const void* block) const;
  Block* next_block();
  void depart() noexcept;
  void* allocate_and_write(int64_t bytes);
  void write_release(const void* block) noexcept;

  const std::shared_ptr<HostAllocator> host_;
  std::mutex mutex_;
  std::vector<Record> records_;  // the last step's is the last
  State state_ = State::passing;
  bool in_step_ = false;
  size_t now_ = 0;  // of a step that follows its record
  char* arena_ = nullptr;
  int64_t arena_bytes_ = 0;
  int64_t held_ = 0;  // blocks of the arena in use
};

}  // namespace lgms
