#pragma once
// Places in one block of memory for all that is known beforehand to be needed, and when.
#include <cstdint>
#include <vector>

namespace lgms {

// Bytes [*offset, *offset + bytes) of an arena from time first to time last, both included.
struct Room {
  int64_t first, last;
  int64_t bytes;
  int64_t* offset;
};

// Writes offsets with which rooms that share a moment do not overlap, multiples of what all sizes are multiples of.
// Returns the bytes of the arena. Reorders rooms.
int64_t place(std::vector<Room>& rooms);

}  // namespace lgms
