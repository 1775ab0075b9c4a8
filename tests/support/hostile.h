#pragma once
// Damaged files for readers, which must throw Error or read them, and nothing else.
#include <cstdint>
#include <span>
#include <vector>

#include "core/error.h"

namespace lgms::testing {

// How often read(bytes) returned instead of throwing Error. Other exceptions pass through and fail the test.
template <class Read>
int accepted(std::span<const std::vector<uint8_t>> files, const Read& read) {
  int count = 0;
  for (const auto& bytes : files) try {
      read(std::span<const uint8_t>(bytes));
      ++count;
    } catch (const Error&) {}
  return count;
}

// The first 0, 1, 2, ... size - 1 bytes.
inline std::vector<std::vector<uint8_t>> truncations(const std::vector<uint8_t>& bytes) {
  std::vector<std::vector<uint8_t>> files;
  for (size_t length = 0; length < bytes.size(); ++length)
    files.emplace_back(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(length));
  return files;
}

// Every single bit flipped.
inline std::vector<std::vector<uint8_t>> bit_flips(const std::vector<uint8_t>& bytes) {
  std::vector<std::vector<uint8_t>> files(8 * bytes.size(), bytes);
  for (size_t i = 0; i < files.size(); ++i) files[i][i / 8] ^= static_cast<uint8_t>(1 << i % 8);
  return files;
}

// `count` copies with one to four bytes overwritten by extreme or random ones, the same for the same seed.
inline std::vector<std::vector<uint8_t>> overwritten(const std::vector<uint8_t>& bytes, int count, uint64_t seed) {
  std::vector<std::vector<uint8_t>> files(static_cast<size_t>(count), bytes);
  uint64_t state = seed * 0x9e3779b97f4a7c15 + 1;
  const auto next = [&state] {  // xorshift64
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
  };
  constexpr uint8_t extreme[] = {0, 1, 0x7f, 0x80, 0xff};
  for (auto& file : files)
    for (uint64_t n = 1 + next() % 4; n > 0; --n)
      file[next() % file.size()] = next() % 2 ? extreme[next() % 5] : static_cast<uint8_t>(next());
  return files;
}

}  // namespace lgms::testing
