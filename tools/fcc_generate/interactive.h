#pragma once

#include "common/torch/prefill.h"
#include "fcc_generate/options.h"

namespace fcc::tools {

/// A conversation by lines of standard input: the whole work of `--interactive`. Answers go to
/// standard output, everything else to standard error. Returns the exit code.
int converse(const GenerateOptions& options, Prefill& prefill);

} // namespace fcc::tools
