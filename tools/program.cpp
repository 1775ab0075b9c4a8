#include "tools/program.h"

#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <new>
#include <string_view>

#include "core/error.h"
#include "tools/command_line.h"
#include "tools/printing.h"
#include "tools/verbs.h"

namespace lgms::tools {
namespace {

constexpr const char* kExitCodes =
    "Exit codes: 0 done; 1 failed or could not write; 2 usage; 3 bad image or data; 4 bad model or checkpoint; 5 no "
    "such\n"
    "device or no memory; 6 a check failed; 7 some inputs failed, the rest is done; 130 interrupted.";

// Everything that was printed is out. Throws Error{output} where it is not.
void flush_results() {
  std::cout.flush();
  check(std::cout.good() && std::fflush(stdout) == 0 && std::ferror(stdout) == 0, ErrorKind::output,
        "[stdout] could not write the results; is the disk full?");
}

int run(int argc, const char* const* argv) {
  CommandLine line("lgmsnet", LGMS_VERSION,
                   "LGMSNet, a network for medical image segmentation (arXiv 2508.15476): training and inference "
                   "without a framework.\n"
                   "Independent implementation. Research software, not a medical device.",
                   kExitCodes);
  for (const auto add : {add_train, add_eval, add_predict, add_summary, add_info, add_convert, add_verify,
                         add_gradcheck, add_bench, add_devices})
    add(line);
  line.run(argc, argv);
  flush_results();
  return 0;
}

// run, and what may go wrong in it as a message and an exit code.
int run_reporting(int argc, const char* const* argv) {
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

int no_memory() noexcept {
  constexpr std::string_view message =
      "lgmsnet: [memory] the system has no memory left; choose a smaller batch or image, or fewer threads\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, message.data(), message.size());
  return exit_code(ErrorKind::device);
}

int run_program(int argc, const char* const* argv) noexcept {
  try {
    return run_reporting(argc, argv);
  } catch (...) { return no_memory(); }  // for the message
}

}  // namespace lgms::tools
