#include "tools/session.h"

#include <unistd.h>

#include <csignal>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "core/error.h"
#include "tools/status_line.h"

namespace lgms::tools {
namespace {

std::atomic<StopToken*> token{nullptr};

void on_signal(int) {
  StopToken* stop = token.load();
  if (stop == nullptr || stop->requested()) _exit(130);
  stop->request();
  constexpr std::string_view note = "\nstopping after this step; a second signal ends at once\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, note.data(), note.size());
}

void handle(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;  // writes of files go on
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  struct sigaction hangup {};
  if (sigaction(SIGHUP, nullptr, &hangup) == 0 && hangup.sa_handler != SIG_IGN)  // nohup wants to outlive it
    sigaction(SIGHUP, &action, nullptr);
}

// What the library has to say, each thing once: a file that is read again has the same to be said of it.
class Notes {
 public:
  void print(std::string_view line) {
    const std::lock_guard lock(mutex_);
    if (printed_.emplace(line).second) StatusLine::note(line);
  }

 private:
  std::mutex mutex_;
  std::set<std::string, std::less<>> printed_;
};

}  // namespace

void add_threads(Verb verb, Machine& machine) {
  verb.add("-t,--threads", machine.threads, "Threads; 0: all CPUs that this process may use")
      .range(0, 1024)
      .shows_default();
}

void add_machine(Verb verb, Machine& machine) {
  add_threads(verb, machine);
  verb.add("--device", machine.device, "Where to compute; cpu is all there is").one_of({"cpu"}).shows_default();
  verb.add("--provider", machine.provider, "Whose convolutions: own, or onednn where it is built in; default: own")
      .one_of({name_of(Provider::own), name_of(Provider::onednn)});
}

void add_precision(Verb verb, Machine& machine) {
  verb.add("--precision", machine.precision,
           "In what convolutions multiply: f32, or bf16 (bf16-pairs: AVX512-BF16, bf16-tiles: AMX); default: f32")
      .one_of({"f32", "bf16", "bf16-pairs", "bf16-tiles"});
}

void add_small(Verb verb, Machine& machine) {
  verb.add_flag("--small", machine.small, "Memory before time: keep nothing that a run can make again");
}

Session::Session(const Machine& machine, bool lean)
    : context_(
          {.threads = machine.threads,
           .isa = {},
           .memory_limit = 0,
           .lean = lean || machine.small,
           .log = [notes = std::make_shared<Notes>()](std::string_view line) { notes->print(line); },
           .executor = {},
           .provider = machine.provider.empty() ? std::nullopt : std::optional(provider_from_name(machine.provider)),
           .precision = machine.precision.empty() ? Precision::f32 : precision_from_name(machine.precision),
           .small = machine.small}),
      scope_(context_) {
  token = &context_.stop();
  handle(on_signal);
}

Session::~Session() {
  handle(SIG_DFL);
  token = nullptr;
}

void Session::stop_if_asked(const std::string& done) {
  check(!context_.stop().requested(), ErrorKind::interrupted, "interrupted; ", done);
}

}  // namespace lgms::tools
