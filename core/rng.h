#pragma once
// Counter-based random numbers: the stream depends on what it is for, never on who asked first.
#include <array>
#include <cstdint>

namespace lgms {

// What a stream is for; part of the counter, so two purposes never share numbers.
enum class Purpose : uint32_t { init = 0, shuffle = 1, augment = 2, test = 3, crop = 4 };

// Philox4x32-10: the block cipher of Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", ten rounds.
// key: [2], counter: [4]; returns four independent 32-bit numbers.
std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 2> key, std::array<uint32_t, 4> counter);

// The stream of (seed, epoch, sample, purpose): key = seed, counter = (index, purpose, sample, epoch).
// At most 2^34 numbers. Copyable; two equal streams give equal numbers on every machine.
class Rng {
 public:
  explicit Rng(uint64_t seed, Purpose purpose, uint32_t epoch = 0, uint32_t sample = 0)
      : key_{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)},
        counter_{0, static_cast<uint32_t>(purpose), sample, epoch} {}

  uint32_t next();             // uniform over 32 bits
  uint32_t below(uint32_t n);  // uniform in [0, n), n > 0, without bias (rejection)
  double uniform();            // [0, 1), 53 bits
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  double normal();  // standard normal (Box-Muller)

 private:
  std::array<uint32_t, 2> key_;
  std::array<uint32_t, 4> counter_;
  std::array<uint32_t, 4> block_{};
  int used_ = 4;
};

}  // namespace lgms
