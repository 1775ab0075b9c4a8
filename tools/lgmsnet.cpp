// The program: picks the verb, turns errors into messages and exit codes.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <iostream>
#include <new>
#include <sstream>
#include <string_view>

#include "core/error.h"
#include "tools/printing.h"
#include "tools/verbs.h"

namespace lgms::tools {
namespace {

constexpr const char* kExitCodes =
    "Exit codes: 0 done; 1 failed or could not write; 2 usage; 3 bad image or data; 4 bad model or checkpoint; 5 no "
    "such\n"
    "device or no memory; 6 a check failed; 7 some inputs failed, the rest is done; 130 interrupted.";

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
  void* const room = mmap(nullptr, 2 * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) return false;
  munmap(room, 2 * bytes);
  volatile char touched[bytes];
  for (size_t i = bytes; i > 0; i -= page) touched[i - 1] = 1;
  return touched[0] + touched[page - 1] > 0;
}

// Takes no memory: there may be none.
int no_memory() {
  constexpr std::string_view message =
      "lgmsnet: [memory] the system has no memory left; choose a smaller batch or image, or fewer threads\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, message.data(), message.size());
  return exit_code(ErrorKind::device);
}

// Everything that was printed is out. Throws Error{output} where it is not.
void flush_results() {
  std::cout.flush();
  check(std::cout.good() && std::fflush(stdout) == 0 && std::ferror(stdout) == 0, ErrorKind::output,
        "[stdout] could not write the results; is the disk full?");
}

// Parses the arguments, which runs the verb.
int run(int argc, char** argv) {
  CLI::App program(
      "LGMSNet, a network for medical image segmentation (arXiv 2508.15476): training and inference without a "
      "framework.\n"
      "Independent implementation. Research software, not a medical device.",
      "lgmsnet");
  program.set_version_flag("--version", "lgmsnet " LGMS_VERSION);
  program.require_subcommand(1);
  program.footer(kExitCodes);
  for (const auto add : {add_train, add_eval, add_predict, add_summary, add_info, add_convert, add_verify,
                         add_gradcheck, add_bench, add_devices})
    add(program);
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& e) {  // --help and --version too
    std::ostringstream out, err;
    out.exceptions(std::ios::badbit);
    err.exceptions(std::ios::badbit);
    const bool asked = program.exit(e, out, err) == 0;
    std::cout << out.str();
    std::cerr << printable(err.str(), true);
    if (!asked) return exit_code(ErrorKind::usage);
  }
  flush_results();
  return 0;
}

// run, and what may go wrong in it as a message and an exit code.
int run_reporting(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const Error& e) {
    std::cout.flush();
    std::cerr << "lgmsnet: " + printable(e.message()) + '\n';
    return exit_code(e.kind());
  } catch (const std::bad_alloc&) { return no_memory(); } catch (const std::exception& e) {
    std::cerr << "lgmsnet: internal error: " + printable(e.what()) + '\n';
    return exit_code(ErrorKind::internal);
  }
}

}  // namespace
}  // namespace lgms::tools

int main(int argc, char** argv) {
  using namespace lgms::tools;
  open_standard_descriptors();
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error of the write, not the end of the process
  if (!take_stack()) return no_memory();
  static char buffer[1 << 14];  // else stdio takes one from the heap when something is printed
  std::setvbuf(stdout, buffer, isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF, sizeof buffer);
  try {
    return run_reporting(argc, argv);
  } catch (...) { return no_memory(); }  // for the message
}
