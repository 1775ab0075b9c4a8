// pth_fuzz CORPUS tests/data/formats: any bytes are a checkpoint or an Error{model}. Checksums would keep the fuzzer
// out of the pickle, so the bytes are also tried as the pickle of an archive whose checksums are right.
#include "core/error.h"
#include "core/formats/pth.h"
#include "tests/support/zip.h"

namespace {

void read(std::span<const uint8_t> bytes) {
  try {
    lgms::io::read_pth(bytes, "fuzz");
  } catch (const lgms::Error&) {}
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  read({data, size});
  const std::string pickle(reinterpret_cast<const char*>(data), size), elements(48, 'e');
  read(lgms::testing::zip_of({{"x/data.pkl", pickle}, {"x/data/0", elements}, {"x/data/1", elements.substr(0, 8)}}));
  return 0;
}
