// Every verb of the program on a tiny network, with every place where it asks the system for something refused in turn.
// With LGMS_ALL_FAULTS set, every call instead of every place: hours; the ctest of the label "long".
// LGMS_ALL_FAULTS=3/40 is the third of 40 shares of that, spread over all calls; LGMS_FAULTS_OF names one verb, with a
// ! in front all others.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>

#include "core/io/safetensors.h"
#include "support/balls.h"
#include "support/discs.h"
#include "support/faults.h"
#include "support/folder.h"
#include "support/testing.h"
#include "tools/program.h"

using namespace lgms;
using namespace lgms::testing;
namespace fs = std::filesystem;

namespace {

// The program within this process: what it returns, and what it printed on stderr.
struct Result {
  int code;
  std::string err;
};

class Program {
 public:
  Program() {
    err_ = ::open((fs::temp_directory_path().string()).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    null_ = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (err_ < 0 || null_ < 0) std::abort();
  }
  // before, after: right around the program.
  Result operator()(
      const std::vector<std::string>& arguments, const std::function<void()>& before = [] {},
      const std::function<void()>& after = [] {}) const {
    std::vector<const char*> argv{"lgmsnet"};
    for (const std::string& a : arguments) argv.push_back(a.c_str());
    std::fflush(stdout);
    const int out = ::dup(STDOUT_FILENO), err = ::dup(STDERR_FILENO);
    if (::ftruncate(err_, 0) != 0) std::abort();
    ::lseek(err_, 0, SEEK_SET);
    ::dup2(null_, STDOUT_FILENO);
    ::dup2(err_, STDERR_FILENO);
    before();
    Result result{tools::run_program(static_cast<int>(argv.size()), argv.data()), {}};
    after();
    std::fflush(stdout);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(err, STDERR_FILENO);
    ::close(out);
    ::close(err);
    char block[2000];
    const ssize_t n = ::pread(err_, block, sizeof block, 0);
    result.err.assign(block, static_cast<size_t>(std::max<ssize_t>(n, 0)));
    return result;
  }

 private:
  int err_, null_;
};

size_t open_descriptors() {
  return static_cast<size_t>(std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()));
}

// Every file under a folder, by its name there.
std::map<std::string, std::string> files_under(const fs::path& folder) {
  std::map<std::string, std::string> files;
  if (!fs::exists(folder)) return files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream in(entry.path(), std::ios::binary);
    files[fs::relative(entry.path(), folder).string()] = {std::istreambuf_iterator<char>(in), {}};
  }
  return files;
}

// Data, networks and models that all verbs use, made once.
class Fixture {
 public:
  Fixture() {
    write_discs(root_ / "discs", 2, 1, 32, 32);
    write_balls(root_ / "balls", 2, 1, {32, 32, 32});
    const char* rest = R"("dims":[4,4,4,4,4],"splits":[[2,2],[2,2],[2,2],[2,2]],"depths":[1,1,1]})";
    std::ofstream(root_ / "2d.json") << R"({"rank":2,"in_channels":3,"classes":1,)" << rest;
    std::ofstream(root_ / "3d.json") << R"({"rank":3,"in_channels":1,"classes":3,)" << rest;
    train2d_ = {"train",    "--data", at("discs"), "--network", at("2d.json"), "--size", "32",
                "--epochs", "1",      "--batch",   "1",         "-t",          "1",      "--out"};
    train3d_ = {"train", "--data",   at("balls"), "--network", at("3d.json"), "--patch", "32", "32",
                "32",    "--epochs", "1",         "--batch",   "1",           "-t",      "1",  "--out"};
    for (auto [arguments, name] : {std::pair{train2d_, "run2d"}, {train3d_, "run3d"}}) {
      arguments.push_back(at(name));
      REQUIRE(program(arguments).code == 0);
    }
    fs::copy(root_ / "balls/labelsTr", root_ / "predicted");
    // What bench takes of a golden file.
    const io::Safetensors model = io::read_safetensors(at("run2d/model.safetensors"));
    NamedTensors golden{{"input", Tensor::zeros({1, 3, 32, 32})}, {"target", Tensor::zeros({1, 1, 32, 32})}};
    for (const auto& [name, tensor] : model.tensors) golden.push_back({"weights." + name, tensor});
    io::write_safetensors(at("golden.safetensors"), golden, {{"config", model.metadata.at("lgms.config")}});
  }
  std::string at(const std::string& name) const { return (root_ / name).string(); }
  fs::path out() const { return root_ / "out"; }

  // The verbs, by name; their outputs go to out().
  std::vector<std::pair<std::string, std::vector<std::string>>> verbs() const {
    const std::string golden = LGMS_TEST_DATA "/golden/net_2d", out_file = (out() / "x.safetensors").string();
    const auto to = [this](std::vector<std::string> arguments) {
      arguments.push_back(out().string());
      return arguments;
    };
    return {
        {"version", {"--version"}},
        {"wrong usage", {"predict", "--no-such-option"}},
        {"devices", {"devices", "--json"}},
        {"summary", {"summary", "--model", at("run2d/model.safetensors")}},
        {"info", {"info", at("run3d/model.safetensors"), "--json", "--tensors"}},
        {"convert", {"convert", golden + ".pth", "--recipe", "paper-2d", "-o", out_file}},
        {"predict", to({"predict", "-m", at("run2d/model.safetensors"), "-i", at("discs/images"), "--overlay",
                        "--probabilities", "-t", "2", "-o"})},
        {"predict volumes",
         to({"predict", "-m", at("run3d/model.safetensors"), "-i", at("balls/imagesTr/ball_1.nii.gz"), "--statistics",
             "--preview", "--probabilities", "--keep-largest", "-t", "1", "-o"})},
        {"eval", {"eval", "-m", at("run2d/model.safetensors"), "--data", at("discs"), "--json", "-t", "1"}},
        {"eval volumes", to({"eval", "-m", at("run3d/model.safetensors"), "--data", at("balls"), "-t", "1", "--out"})},
        {"eval label files", {"eval", "--predictions", at("predicted"), "--data", at("balls"), "-t", "1"}},
        {"train", to(train2d_)},
        {"train volumes", to(train3d_)},
        {"verify", {"verify", golden + ".safetensors", "--dtype", "f32", "-t", "1"}},
        {"bench", {"bench", at("golden.safetensors"), "--runs", "1", "--json", "-t", "1"}},
        {"bench training", {"bench", at("golden.safetensors"), "--train", "--checkpointing", "--runs", "1", "-t", "1"}},
        {"gradcheck", {"gradcheck", "--json", "-t", "1"}}};
  }

  Program program;

 private:
  Folder root_;
  std::vector<std::string> train2d_, train3d_;
};

const Fixture& fixture() {
  static const Fixture made;
  return made;
}

bool allowed(Call call, int code) {
  switch (call) {
    case Call::memory:
    case Call::map:
    case Call::thread: return code == 5;
    case Call::open:
    case Call::read: return code == 1 || code == 3 || code == 4 || code == 7;
    case Call::write:
    case Call::sync:
    case Call::rename: return code == 1;
  }
  return false;
}

// What is wrong with the program's answer to one fault; empty where nothing is.
std::string answer(const Fixture& f, const std::vector<std::string>& arguments, int usual,
                   const std::map<std::string, std::string>& whole, Call call, Fault fault) {
  fs::remove_all(f.out());
  fs::create_directory(f.out());
  const size_t descriptors = open_descriptors();
  const Result result = f.program(
      arguments, [&] { start_failing(call, fault); }, stop_failing);
  const std::string told = text("code ", result.code, ", \"", result.err, '"');
  if (result.code != usual && !allowed(call, result.code)) return told;
  if (result.code != usual && result.err.find("lgmsnet: ") == std::string::npos) return "says nothing: " + told;
  if (result.err.find("internal error") != std::string::npos) return told;
  if (open_descriptors() != descriptors) return "descriptors stay open: " + told;
  const auto written = files_under(f.out());
  for (const auto& [name, contents] : written) {
    if (name.find(".tmp") != std::string::npos) return "leaves " + name + ": " + told;
    const auto same = whole.find(name);
    if (same == whole.end()) return "leaves " + name + ": " + told;
    if (result.code == usual && contents != same->second) return "another " + name + ": " + told;
    if (contents.empty() && !same->second.empty()) return "empty " + name + ": " + told;
  }
  if (result.code == usual && written.size() != whole.size()) return "not all files: " + told;
  return "";
}

void sweep_verbs(Call call) {
  const Fixture& f = fixture();
  // Of memory there are too many calls to refuse each: one of each place. Of others, at most 200, evenly spread.
  const bool all = std::getenv("LGMS_ALL_FAULTS") != nullptr, places = call == Call::memory || call == Call::map;
  const char* const only = std::getenv("LGMS_FAULTS_OF");
  for (const auto& [name, arguments] : f.verbs()) {
    const std::string& verb = name;  // clang 14 captures no structured binding
    if (only != nullptr && (*only == '!' ? verb == only + 1 : verb != only)) continue;
    CAPTURE(verb);
    const auto start = std::chrono::steady_clock::now();
    fs::remove_all(f.out());
    fs::create_directory(f.out());
    std::vector<Point> points;
    const int usual =
        f.program(
             arguments, [&] { start_recording(call, all || !places); }, [&] { points = stop_recording(); })
            .code;
    CHECK((usual == 0 || verb == "wrong usage"));
    const auto whole = files_under(f.out());
    if (const char* const slash = all ? std::strchr(std::getenv("LGMS_ALL_FAULTS"), '/') : nullptr) {
      const size_t shares = static_cast<size_t>(std::atoi(slash + 1)),
                   share = static_cast<size_t>(std::atoi(std::getenv("LGMS_ALL_FAULTS")));
      std::vector<Point> some;
      for (size_t i = share - 1; i < points.size(); i += shares) some.push_back(points[i]);
      points = some;
    }
    // Each place once: the call alone, and from the next one on all calls, in turn.
    std::vector<Fault> faults;
    const size_t step = all || places ? 1 : points.size() / 200 + 1;
    for (size_t i = 0; i < points.size(); i += step)
      for (const bool on : {false, true})
        if (all || points.size() < 100 || on == (i % 2 == 1)) faults.push_back({points[i], on});
    const auto try_one = [&, &arguments = arguments](Fault fault) {
      return answer(f, arguments, usual, whole, call, fault);
    };
    for (const std::string& line : sweep(call, faults, try_one)) FAIL_CHECK(line);
    MESSAGE(verb, ": ", points.size(), " of ", std::string(name_of(call)), ", ",
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), " s");
  }
}

}  // namespace

TEST_CASE("faults: memory that the system does not give ends every verb with exit 5") { sweep_verbs(Call::memory); }
TEST_CASE("faults: mappings that the system does not give end every verb with exit 5") { sweep_verbs(Call::map); }
TEST_CASE("faults: threads that the system does not give end every verb with exit 5") { sweep_verbs(Call::thread); }
TEST_CASE("faults: files that cannot be opened, or read, are data, model or output errors") {
  sweep_verbs(Call::open);
  sweep_verbs(Call::read);
}
TEST_CASE("faults: what cannot be written, flushed or renamed is exit 1, and nothing half-written stays") {
  sweep_verbs(Call::write);
  sweep_verbs(Call::sync);
  sweep_verbs(Call::rename);
}
