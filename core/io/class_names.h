#pragma once
#include <span>
#include <string>

#include "core/error.h"

namespace lgms::io {

// Names of classes as every file of ours can hold them, and tell them apart: UTF-8 of a character or more, none of them
// a control character; each name once. "ignore", nnU-Net's word for voxels that nobody annotated, is refused, but where
// kind is model: a trained model has learnt it as a class. Throws Error{kind}; where: whose names these are,
// "[dataset.json] labels".
void check_class_names(std::span<const std::string> names, ErrorKind kind, const std::string& where);

// The names of a data set against those of the model it is to be used with. Throws Error{data} beginning with `where`
// (the data) where there are more or fewer, or the same in another order; notes where they are others. No names of the
// data: nothing is known.
void compare_class_names(std::span<const std::string> model, std::span<const std::string> data,
                         const std::string& where);

}  // namespace lgms::io
