#include "lgmsnet/training/verify.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "core/io/safetensors.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;
namespace fs = std::filesystem;

namespace {

// Golden files of whole networks: those that the project carries, and the large ones where they are.
std::vector<fs::path> goldens(const fs::path& folder, const std::string& prefix) {
  std::vector<fs::path> files;
  if (fs::is_directory(folder))
    for (const auto& entry : fs::directory_iterator(folder))
      if (entry.path().filename().string().starts_with(prefix) && entry.path().extension() == ".safetensors")
        files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

void check_rows(const VerifyReport& report) {
  for (const VerifyRow& row : report.rows) {
    CAPTURE(row.name);
    CAPTURE(row.where);
    CAPTURE(row.error);
    CHECK(row.passed);
  }
}

void check_file(const fs::path& file, DType dtype) {
  CAPTURE(file);
  CAPTURE(dtype);
  Context context({.threads = 2});
  const Context::Scope scope(context);
  const VerifyReport report = verify(file.string(), dtype);
  CHECK(report.rows.size() > 2);
  check_rows(report);
}

// By the plan that inference runs on, on every instruction set, with one and two threads.
void check_plan(const fs::path& file) {
  for (const Isa isa : isas())
    for (const int threads : {1, 2}) {
      if (isa == Isa::reference) continue;  // minutes
      CAPTURE(file);
      CAPTURE(name_of(isa));
      Context context({.threads = threads, .isa = isa});
      const Context::Scope scope(context);
      check_rows(verify_plan(file.string()));
    }
}

}  // namespace

TEST_CASE("verify: the project's golden files, in double and in float") {
  const auto files = goldens(fs::path(LGMS_TEST_DATA) / "golden", "net_");
  REQUIRE(files.size() >= 2);
  for (const fs::path& file : files)
    for (DType dtype : {DType::f64, DType::f32}) check_file(file, dtype);
  for (const fs::path& file : files) check_plan(file);
}

TEST_CASE("verify: one changed weight is found") {
  const auto files = goldens(fs::path(LGMS_TEST_DATA) / "golden", "net_");
  REQUIRE(!files.empty());
  io::Safetensors golden = io::read_safetensors(files.front());
  for (NamedTensor& t : golden.tensors)
    if (t.name == "weights.encoder1.0.conv_nxn_bn.0.weight") t.tensor.data<float>()[5] += 0.01f;
  const fs::path changed =
      fs::temp_directory_path() / ("lgms_verify_test_" + std::to_string(::getpid()) + ".safetensors");
  io::write_safetensors(changed, golden.tensors, golden.metadata);
  CHECK_FALSE(verify(changed.string(), DType::f64).passed());
  CHECK_FALSE(verify(changed.string(), DType::f32).passed());
  for (NamedTensor& t : golden.tensors)
    if (t.name == "eval.logits") t.tensor = Tensor::zeros({1, 2});
  io::write_safetensors(changed, golden.tensors, golden.metadata);
  const VerifyReport report = verify(changed.string(), DType::f32);
  CHECK_FALSE(report.passed());
  CHECK(std::any_of(report.rows.begin(), report.rows.end(),
                    [](const VerifyRow& row) { return row.where.find("expected [1, 2]") != std::string::npos; }));
  fs::remove(changed);
}

TEST_CASE("verify: a file that is no golden file is refused") {
  CHECK(error_of([] { verify("absent.safetensors", DType::f64); }).find("absent.safetensors") != std::string::npos);
}

TEST_CASE("verify: the large golden files") {
  const fs::path folder = testing::shared("golden");
  const auto files = goldens(folder, "lgmsnet");
  if (files.empty()) {
    MESSAGE("skipped: no golden files in " << folder.string());
    return;
  }
  for (const fs::path& file : files) check_file(file, DType::f32);
  for (const fs::path& file : files) check_plan(file);
}
