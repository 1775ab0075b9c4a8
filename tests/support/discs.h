#pragma once
// A data set that a test makes itself: bright discs on dark noise.
#include <cstdint>
#include <filesystem>

namespace lgms::testing {

// images/disc (I).png and masks/0/disc (I).png of height x width for I in [0, n), train.txt with the first `train`
// stems and val.txt with the rest.
void write_discs(const std::filesystem::path& folder, int64_t n, int64_t train, int64_t height, int64_t width);

}  // namespace lgms::testing
