#include "nn/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lgms::nn {
namespace {

double cosine(double base, int64_t done, int64_t total) {
  return base * (1 + std::cos(std::numbers::pi * static_cast<double>(done) / static_cast<double>(total))) / 2;
}

}  // namespace

double poly_rate(double base, int64_t iteration, int64_t total, double power) {
  const int64_t done = std::max<int64_t>(iteration - 1, 0);
  return base * std::pow(1 - static_cast<double>(done) / static_cast<double>(total), power);
}

double warm_up_cosine_epoch_rate(double base, int64_t epoch, int64_t epochs, int64_t warm_up) {
  if (epoch >= warm_up) return cosine(base, epoch - warm_up, std::max<int64_t>(epochs - warm_up, 1));
  return warm_up == 1 ? base : base * static_cast<double>(epoch) / static_cast<double>(warm_up - 1);
}

double warm_up_cosine_rate(double base, int64_t iteration, int64_t total) {
  const int64_t warm_up = std::max<int64_t>((total + 10) / 20, 1);
  if (iteration < warm_up) return base * static_cast<double>(iteration + 1) / static_cast<double>(warm_up);
  return cosine(base, iteration - warm_up, std::max<int64_t>(total - warm_up, 1));
}

}  // namespace lgms::nn
