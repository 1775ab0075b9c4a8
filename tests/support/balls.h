#pragma once
// A data set of volumes that a test makes itself: two kinds of bright balls in dark noise.
#include <cstdint>
#include <filesystem>

#include "core/geometry.h"

namespace lgms::testing {

// imagesTr/ball_I.nii.gz and labelsTr/ball_I.nii.gz (0, 1, 2) of about this size for I in [0, n), train.txt with the
// first `train` stems and val.txt with the rest. Affines are oblique, spacings differ along the axes.
void write_balls(const std::filesystem::path& folder, int64_t n, int64_t train, const Size3& size);

}  // namespace lgms::testing
