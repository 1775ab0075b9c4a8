#pragma once
// How a list of steps becomes one that goes through memory less often (Fused in steps.h says what is done).
#include "lgmsnet/steps.h"

namespace lgms {

// list: of a network as network.h describes it, before storage, life and dims of values are decided.
// own: with the ops that only our own rows have.
void fuse(Steps& list, bool own);

}  // namespace lgms
