// datalist_fuzz CORPUS: any bytes are a data set's description or an Error{data}.
#include "core/error.h"
#include "core/formats/datalist.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    lgms::io::parse_datalist({data, size}, "fuzz", "training");
  } catch (const lgms::Error&) {}
  return 0;
}
