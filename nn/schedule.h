#pragma once
// Learning rates as functions of the iteration or epoch alone: a resumed run needs no state of theirs.
#include <cstdint>

namespace lgms::nn {

// The 2D recipe's poly schedule, as its training loop has it: the rate is set after an iteration, so iterations 0 and 1
// both run at base. rate(0) = base; rate(i) = base (1 - (i - 1) / total)^power. 0 <= iteration < total.
double poly_rate(double base, int64_t iteration, int64_t total, double power = 0.9);

// The paper's 3D schedule, per epoch: base * e / (warm_up - 1) for e < warm_up (epoch 0 runs at 0), then
// base (1 + cos(pi (e - warm_up) / (epochs - warm_up))) / 2.
double warm_up_cosine_epoch_rate(double base, int64_t epoch, int64_t epochs, int64_t warm_up);

// The corrected one, per iteration: base * (i + 1) / w for i < w, w = 5 % of total, rounded, at least 1; then
// base (1 + cos(pi (i - w) / (total - w))) / 2. It never is 0.
double warm_up_cosine_rate(double base, int64_t iteration, int64_t total);

}  // namespace lgms::nn
