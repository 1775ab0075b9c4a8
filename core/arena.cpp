#include "core/arena.h"

#include <algorithm>

namespace lgms {
namespace {

// In this order, each where it is lowest beside those that live with it.
int64_t place_in_order(const std::vector<Room>& rooms) {
  int64_t all = 0;
  std::vector<const Room*> placed, beside;
  for (const Room& room : rooms) {
    beside.clear();
    for (const Room* other : placed)
      if (other->first <= room.last && room.first <= other->last) beside.push_back(other);
    std::sort(beside.begin(), beside.end(), [](const Room* a, const Room* b) { return *a->offset < *b->offset; });
    int64_t at = 0;
    for (const Room* other : beside) {
      if (*other->offset - at >= room.bytes) break;
      at = std::max(at, *other->offset + other->bytes);
    }
    *room.offset = at;
    all = std::max(all, at + room.bytes);
    placed.push_back(&room);
  }
  return all;
}

}  // namespace

// The large first, or those that are large for long: whichever takes less.
int64_t place(std::vector<Room>& rooms) {
  const auto by = [&](auto weight) {
    std::stable_sort(rooms.begin(), rooms.end(), [&](const Room& a, const Room& b) { return weight(a) > weight(b); });
    return place_in_order(rooms);
  };
  const auto bytes = [](const Room& room) { return room.bytes; };
  const auto area = [](const Room& room) {
    return static_cast<double>(room.bytes) * static_cast<double>(room.last + 1 - room.first);
  };
  const int64_t by_area = by(area), by_bytes = by(bytes);
  return by_area < by_bytes ? by(area) : by_bytes;
}

}  // namespace lgms
