#include "tools/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <sstream>

#include "core/error.h"

namespace lgms::tools {
namespace {

// CLI11 takes 010 for 8, and -1 and 2^64 for the largest number without a sign.
template <class T>
std::string wrong_number(const std::string& typed) {
  T number{};
  const char* const end = typed.data() + typed.size();
  const auto [stop, error] = std::from_chars(typed.data(), end, number);
  const bool whole = error == std::errc() && stop == end && text(number) == typed;
  return whole ? "" : text("expected a whole number", T(-1) < 0 ? "" : " from 0", ", got ", typed);
}

// CLI11 finds that nan lies in every range, and takes nothing for 0.
std::string not_finite(const std::string& typed) {
  char* end = nullptr;
  const bool finite = std::isfinite(std::strtod(typed.c_str(), &end));
  return finite && end == typed.c_str() + typed.size() && !typed.empty()
             ? ""
             : text("expected a finite number, got ", typed.empty() ? "nothing" : typed);
}

// "1.5G" to the digits of bytes, in place.
std::string to_bytes(std::string& typed) {
  double number = 0;
  const char* const end = typed.data() + typed.size();
  const auto [stop, error] = std::from_chars(typed.data(), end, number, std::chars_format::fixed);
  std::string unit(stop, end);
  std::transform(unit.begin(), unit.end(), unit.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c; });
  const std::string_view units[] = {"", "K", "M", "G", "T"};
  for (double factor = 1; const std::string_view of : units) {
    if (error == std::errc() && number > 0 && number * factor < 0x1p60 &&
        (unit == of || unit == text(of, 'B') || unit == text(of, "IB"))) {
      typed = text(static_cast<uint64_t>(std::ceil(number * factor)));
      return "";
    }
    factor *= 1024;
  }
  return text("expected bytes, or with K, M, G or T behind the number multiples of 1024, got ", typed);
}

template <class T>
struct Element {
  using type = T;
};
template <class T>
struct Element<std::vector<T>> {
  using type = T;
};

}  // namespace

Option Option::required() const {
  return Option(option_->required()->check(
      [](const std::string& typed) { return typed.empty() ? "expected something, got an empty text" : ""; }));
}
Option Option::whole_range(int64_t least, int64_t most) const {
  return Option(option_->check(CLI::Range(least, most)));
}
Option Option::range(double least, double most) const {
  return Option(option_->check(not_finite, "")->check(CLI::Range(least, most)));
}
Option Option::multiples_of(int64_t step, int64_t most) const {
  return Option(option_->check([step, most](const std::string& typed) {
    int64_t number = 0;
    std::from_chars(typed.data(), typed.data() + typed.size(), number);
    return number > 0 && number % step == 0 && number <= most
               ? ""
               : text("expected a multiple of ", step, " up to ", most, ", got ", typed);
  }));
}
Option Option::one_of(const std::vector<std::string>& words) const {
  return Option(option_->check(CLI::IsMember(words)));
}
Option Option::values(int least, int most) const { return Option(option_->expected(least, most)); }
Option Option::separated_by(char c) const { return Option(option_->delimiter(c)); }
Option Option::bytes() const { return Option(option_->transform(CLI::Validator(to_bytes, "", "bytes"))); }
Option Option::shows_default() const { return Option(option_->capture_default_str()); }
Option Option::group(const std::string& title) const { return Option(option_->group(title)); }

template <class T>
Option Verb::add(const std::string& names, T& value, const std::string& help) const {
  CLI::Option* const option = app_->add_option(names, value, help);
  using Number = typename Element<T>::type;
  if constexpr (std::integral<Number>)
    option->check(wrong_number<std::conditional_t<std::unsigned_integral<Number>, uint64_t, int64_t>>, "");
  return Option(option);
}
template Option Verb::add(const std::string&, std::string&, const std::string&) const;
template Option Verb::add(const std::string&, int&, const std::string&) const;
template Option Verb::add(const std::string&, int64_t&, const std::string&) const;
template Option Verb::add(const std::string&, uint64_t&, const std::string&) const;
template Option Verb::add(const std::string&, double&, const std::string&) const;
template Option Verb::add(const std::string&, std::vector<std::string>&, const std::string&) const;
template Option Verb::add(const std::string&, std::vector<int64_t>&, const std::string&) const;
template Option Verb::add(const std::string&, std::vector<double>&, const std::string&) const;

Option Verb::add_flag(const std::string& names, bool& value, const std::string& help) const {
  return Option(app_->add_flag(names, value, help));
}
void Verb::action(std::function<void()> run) const { app_->callback(std::move(run)); }
std::string Verb::name() const { return app_->get_name(); }

std::vector<std::string> Verb::words(std::string_view option) const {
  for (const CLI::Option* o : app_->get_options())  // App::count ends the process where memory runs out
    for (const std::string& name : o->get_lnames())
      if (option.substr(2) == name) return o->results();
  return {};
}

void Verb::refuse(const std::vector<std::string>& options, const std::string& why) const {
  for (const std::string& option : options)
    check(!given(option), ErrorKind::usage, "[", name(), "] ", option, ' ', why);
}

CommandLine::CommandLine(const std::string& name, const std::string& version, const std::string& about,
                         const std::string& exit_codes)
    : app_(std::make_unique<CLI::App>(about, name)) {
  app_->set_version_flag("--version", name + ' ' + version);
  app_->require_subcommand(1);
  app_->footer(exit_codes);
}
CommandLine::~CommandLine() = default;

Verb CommandLine::add_verb(const std::string& name, const std::string& help) {
  return Verb(app_->add_subcommand(name, help));
}

void CommandLine::run(int argc, const char* const* argv) {
  bool known = argc > 1 && argv[1][0] == '-';
  std::string verbs;
  for (const CLI::App* const verb : app_->get_subcommands([](CLI::App*) { return true; })) {
    known |= argc > 1 && verb->get_name() == argv[1];
    verbs.append(verbs.empty() ? "" : ", ").append(verb->get_name());
  }
  const std::string name = app_->get_name();
  check(known, ErrorKind::usage, "expected ", verbs, ", got ", argc < 2 ? "nothing" : argv[1], "; see ", name,
        " --help");
  try {
    app_->parse(argc, argv);
  } catch (const CLI::ParseError& e) {  // --help and --version too
    const auto chosen = app_->get_subcommands();
    const std::string verb = chosen.empty() ? "" : chosen.front()->get_name() + ' ';
    check(e.get_exit_code() == 0, ErrorKind::usage, e.what(), "; see ", name, ' ', verb, "--help");
    std::ostringstream help;
    help.exceptions(std::ios::badbit);
    app_->exit(e, help, help);
    std::cout << help.str();
  }
}

}  // namespace lgms::tools
