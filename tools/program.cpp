#include "tools/program.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
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

// Everything that was printed is out. Throws Error{output} where it is not.
void flush_results() {
  std::cout.flush();
  check(std::cout.good() && std::fflush(stdout) == 0 && std::ferror(stdout) == 0, ErrorKind::output,
        "[stdout] could not write the results; is the disk full?");
}

// Whole numbers must be what was typed: CLI11 takes 010 for 8, and -1 and 2^64 for the largest number without a sign.
template <class T>
std::string wrong_number(const std::string& typed) {
  T number{};
  const char* const end = typed.data() + typed.size();
  const auto [stop, error] = std::from_chars(typed.data(), end, number);
  const bool whole = error == std::errc() && stop == end && text(number) == typed;
  return whole ? "" : text("expected a whole number", T(-1) < 0 ? "" : " from 0", ", got ", typed);
}
void expect_whole_numbers(CLI::App& verb) {
  for (CLI::Option* const option : verb.get_options()) {
    const std::string type = option->get_type_name();
    if (type.starts_with("UINT")) option->check(wrong_number<uint64_t>, "");
    if (type.starts_with("INT")) option->check(wrong_number<int64_t>, "");
  }
}

// Parses the arguments, which runs the verb.
int run(int argc, const char* const* argv) {
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
  std::string verbs;
  bool known = argc > 1 && argv[1][0] == '-';
  for (CLI::App* const verb : program.get_subcommands([](CLI::App*) { return true; })) {
    expect_whole_numbers(*verb);
    known |= argc > 1 && verb->get_name() == argv[1];
    verbs.append(verbs.empty() ? "" : ", ").append(verb->get_name());
  }
  check(known, ErrorKind::usage, "expected ", verbs, ", got ", argc < 2 ? "nothing" : argv[1], "; see lgmsnet --help");
  program.failure_message([](const CLI::App* app, const CLI::Error& e) {
    const auto chosen = app->get_subcommands();
    return text("lgmsnet: ", e.what(), "; see lgmsnet ", chosen.empty() ? "" : chosen.front()->get_name() + ' ',
                "--help\n");
  });
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
