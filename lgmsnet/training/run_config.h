#pragma once
// config.json: what a run was started with, written for whoever looks and for the run that goes on. Private to
// training.
#include <filesystem>

#include "lgmsnet/training/study.h"

namespace lgms {

// What must not change when a run goes on, by the names of the options that choose it; kept in the checkpoint.
nn::Settings settings_of(const TrainingOptions& options, const Study& study);

void write_run_config(const std::filesystem::path& file, const TrainingOptions& options, const Study& study);

// On resume, options that were not given are those of the run; where a checkpoint lies beside the file, so are network,
// recipe and names of classes. Throws Error{usage} naming file and entry where one is missing, or not allowed.
void recall(TrainingPlan& plan, const std::filesystem::path& file);

// A setting of a checkpoint that is a number must be one that the option could have been: else throws Error{model}.
void check_numbers(const nn::Settings& saved, const std::string& source);

}  // namespace lgms
