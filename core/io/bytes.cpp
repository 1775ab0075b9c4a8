#include "core/io/bytes.h"
