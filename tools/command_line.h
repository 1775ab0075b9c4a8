#pragma once
// The command line. CLI11 does the work; command_line.cpp alone includes it, as it takes longer to compile than a verb.
#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace lgms::tools {

// What an option may be. A name for the option, to be copied freely, while its CommandLine lives.
class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}

  Option required() const;
  template <std::integral T, std::integral U>
  Option range(T least, U most) const {
    return whole_range(static_cast<int64_t>(least), static_cast<int64_t>(most));
  }
  Option range(double least, double most) const;
  Option multiples_of(int64_t step, int64_t most) const;
  Option one_of(const std::vector<std::string>& words) const;
  Option values(int least, int most) const;  // how many it takes
  Option separated_by(char c) const;
  Option bytes() const;          // 2G, 800M
  Option shows_default() const;  // in the help
  Option group(const std::string& title) const;

 private:
  Option whole_range(int64_t least, int64_t most) const;
  CLI::Option* option_;
};

// A verb of the program. A name for it, like Option.
class Verb {
 public:
  explicit Verb(CLI::App* app = nullptr) : app_(app) {}

  // names: "-t,--threads", or "file" for one that is told by its place. T: std::string, int, int64_t, uint64_t, double,
  // or a vector of one of these. Whole numbers are taken as they are typed: 010 is refused, not 8.
  template <class T>
  Option add(const std::string& names, T& value, const std::string& help) const;
  Option add_flag(const std::string& names, bool& value, const std::string& help) const;
  // What the verb does; throws lgms::Error.
  void action(std::function<void()> run) const;

  std::string name() const;
  // What was typed for the option, "--patch"; nothing where it was not given.
  std::vector<std::string> words(std::string_view option) const;
  bool given(std::string_view option) const { return !words(option).empty(); }
  // Throws Error{usage} where one of these options was given: "[predict] --patch " and why.
  void refuse(const std::vector<std::string>& options, const std::string& why) const;

 private:
  CLI::App* app_;
};

class CommandLine {
 public:
  // about, exit_codes: the first and last lines of the help.
  CommandLine(const std::string& name, const std::string& version, const std::string& about,
              const std::string& exit_codes);
  ~CommandLine();

  Verb add_verb(const std::string& name, const std::string& help);
  // Runs the verb that the arguments name, or prints on stdout what --help and --version ask for. Throws Error{usage}
  // where the arguments are not understood, and what the verb throws.
  void run(int argc, const char* const* argv);

 private:
  std::unique_ptr<CLI::App> app_;
};

}  // namespace lgms::tools
