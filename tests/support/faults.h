#pragma once
// A system that says no: calls that a process makes fail when a test wants it, one after another.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace lgms::testing {

enum class Call { memory, map, thread, open, read, write, sync, rename };
inline constexpr int kCalls = 8;
const char* name_of(Call call);

// One call of a kind: the index-th (from 0) of the thread-th thread (from 0, in order of creation).
struct Point {
  int thread = 0;
  int64_t index = 0;
};
// That call fails; where `on`, every call of its kind after it too, in all threads.
struct Fault {
  Point point;
  bool on = false;
};
void start_failing(Call call, Fault fault);
void stop_failing();

// From now on calls of a kind are noted. all: each of them; else the first of each place in the program, which is told
// by the functions that led to it, and which no earlier recording has met.
void start_recording(Call call, bool all);
std::vector<Point> stop_recording();

// Runs try_one(fault) for every fault, in processes of their own. It returns what is wrong, empty where nothing is. A
// signal or more than `seconds` for one fault is wrong too. Returns lines that tell the fault and what was wrong, at
// most 20.
std::vector<std::string> sweep(Call call, const std::vector<Fault>& faults,
                               const std::function<std::string(Fault fault)>& try_one, unsigned seconds = 120);

}  // namespace lgms::testing
