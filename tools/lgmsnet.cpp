// The process: what a program must see to before it can report anything.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>

#include "tools/program.h"

namespace lgms::tools {
namespace {

// A descriptor that is closed would be given to the next file that is opened, and what is meant for the terminal would
// land there.
void open_standard_descriptors() {
  for (int descriptor = 0; descriptor <= 2; ++descriptor)
    if (fcntl(descriptor, F_GETFD) < 0 && open("/dev/null", O_RDWR) != descriptor) _exit(1);
}

// Where a stack cannot grow the process dies. What it may need is taken while there is a way to say that it is not
// there.
[[gnu::noinline]] bool take_stack() {
  constexpr size_t bytes = 512 << 10, page = 4096;
  rlimit limit{};
  if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur < 2 * bytes) {
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 16 * bytes);
    if (setrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur < 2 * bytes) return false;
  }
  void* const room = mmap(nullptr, 2 * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) return false;
  munmap(room, 2 * bytes);
  volatile char touched[bytes];
  for (size_t i = bytes; i > 0; i -= page) touched[i - 1] = 1;
  return touched[0] + touched[page - 1] > 0;
}

// Code of others has functions that may not throw and do where memory runs out (CLI11's, the C++ library's).
// Without an exception there was no memory for one, or there is a bug.
[[noreturn]] void on_terminate() {
  bool memory = false;
  try {
    if (const std::exception_ptr e = std::current_exception()) std::rethrow_exception(e);
    memory = std::malloc(1024) == nullptr;
  } catch (const std::bad_alloc&) { memory = true; } catch (...) {
  }
  if (memory) _exit(no_memory());
  std::abort();
}

// Before anything else: CLI11's constants take memory before main begins.
[[gnu::constructor(101)]] void handle_terminate() { std::set_terminate(on_terminate); }

}  // namespace
}  // namespace lgms::tools

int main(int argc, char** argv) {
  using namespace lgms::tools;
  open_standard_descriptors();
  // A file that may not grow, a pipe that nobody reads: errors of the write, not the end of the process.
  for (const int signal : {SIGXFSZ, SIGPIPE}) std::signal(signal, SIG_IGN);
  if (!take_stack()) return no_memory();
  static char buffer[1 << 14];  // else stdio takes one from the heap when something is printed
  std::setvbuf(stdout, buffer, isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF, sizeof buffer);
  return run_program(argc, argv);
}
