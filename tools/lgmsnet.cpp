// The program: picks the verb, turns errors into messages and exit codes.
#include <CLI/CLI.hpp>
#include <csignal>
#include <exception>
#include <iostream>
#include <new>

#include "core/error.h"
#include "tools/verbs.h"

namespace lgms::tools {
namespace {

constexpr const char* kExitCodes =
    "Exit codes: 0 done; 1 failed or could not write; 2 usage; 3 bad image or data; 4 bad model or checkpoint; 5 no "
    "such\n"
    "device or no memory; 6 a check failed; 7 some inputs failed, the rest is done; 130 interrupted.";

}  // namespace

}  // namespace lgms::tools

int main(int argc, char** argv) {
  using namespace lgms;
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error of the write, not the end of the process
  CLI::App program(
      "LGMSNet, a network for medical image segmentation (arXiv 2508.15476): training and inference without a "
      "framework.\n"
      "Independent implementation. Research software, not a medical device.",
      "lgmsnet");
  program.set_version_flag("--version", "lgmsnet " LGMS_VERSION);
  program.require_subcommand(1);
  program.footer(tools::kExitCodes);
  tools::add_train(program);
  tools::add_eval(program);
  tools::add_predict(program);
  tools::add_summary(program);
  tools::add_info(program);
  tools::add_convert(program);
  tools::add_verify(program);
  tools::add_gradcheck(program);
  tools::add_bench(program);
  tools::add_devices(program);
  try {
    program.parse(argc, argv);
    std::cout.flush();
    check(std::cout.good(), ErrorKind::output, "[stdout] could not write the results; is the disk full?");
    return 0;
  } catch (const CLI::Success& e) {  // --help, --version
    return program.exit(e);
  } catch (const CLI::ParseError& e) {
    program.exit(e, std::cerr, std::cerr);
    return exit_code(ErrorKind::usage);
  } catch (const Error& e) {
    std::cout.flush();
    std::cerr << "lgmsnet: " << e.what() << '\n';
    return exit_code(e.kind());
  } catch (const std::bad_alloc&) {
    std::cerr << "lgmsnet: [memory] the system has no memory left; choose a smaller batch or image\n";
    return exit_code(ErrorKind::device);
  } catch (const std::exception& e) {
    std::cerr << "lgmsnet: internal error: " << e.what() << '\n';
    return exit_code(ErrorKind::internal);
  }
}
