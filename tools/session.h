#pragma once
// What every verb that computes sets up first and takes down last.

#include "core/context.h"
#include "tools/command_line.h"

namespace lgms::tools {

// -t, --threads, which every verb takes: 0 is every CPU that this process may use. --device: cpu is all there is so
// far. --provider: ContextOptions::provider, where it is given.
struct Machine {
  int threads = 0;
  std::string device = "cpu", provider, precision;
  bool small = false;
};
void add_machine(Verb verb, Machine& machine);
// --precision: ContextOptions::precision; for verbs that only infer.
void add_precision(Verb verb, Machine& machine);
// --small: ContextOptions::small and lean; for the same.
void add_small(Verb verb, Machine& machine);
void add_threads(Verb verb, Machine& machine);  // the first alone: for verbs that do not compute

// lean: ContextOptions::lean. A context that is current for its lifetime and whose stop token SIGINT, SIGTERM and
// SIGHUP set; a second signal ends the process at once with 130. One at a time.
class Session {
 public:
  explicit Session(const Machine& machine, bool lean = false);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  Context& context() { return context_; }
  // Throws Error{interrupted} once a signal came.
  void stop_if_asked(const std::string& done);

 private:
  Context context_;
  Context::Scope scope_;
};

}  // namespace lgms::tools
