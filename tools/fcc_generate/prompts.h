#pragma once

#include "common/torch/prefill.h"
#include "fcc_generate/options.h"

namespace fcc::tools {

/// Continues every prompt of a JSON Lines file: the whole work of `--prompts`. Prompts of equally
/// many tokens run as one batch; what is drawn for one is what it would be alone. Returns the exit
/// code. Errors: `FormatError` that names the line, before any prompt is run.
int answer_prompts(const GenerateOptions& options, Prefill& prefill);

} // namespace fcc::tools
