// safetensors_fuzz CORPUS tests/data/golden: any bytes are a model or an Error{model}.
#include "core/error.h"
#include "core/io/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    lgms::io::read_safetensors({data, size}, "fuzz");
  } catch (const lgms::Error&) {}
  return 0;
}
