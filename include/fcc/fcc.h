#pragma once

/// The library in one include: what programs of one's own begin with. Each header can also be
/// included by itself, which compiles faster. `examples/` shows them at work.

// Errors, settings
#include "fcc/config/run_config.h"   // every key of a run, as `fcc-train` reads them
#include "fcc/config/strict_json.h"  // read_config: from JSON, with names and lines in errors
#include "fcc/config/write_config.h" // and back
#include "fcc/core/error.h"          // what every function throws
#include "fcc/core/random.h"         // numbers that depend on seed and place alone
#include "fcc/version.h"

// Text and data
#include "fcc/data/batch.h"             // rows of token ids, targets, weights
#include "fcc/data/loader.h"            // datasets, yours among them, and mixtures of them
#include "fcc/data/loss_coefficients.h" // what each target's loss is multiplied by
#include "fcc/text/tokenizer.h"

// Models and how they run
#include "fcc/engine/engine_choice.h" // from settings to a plan
#include "fcc/engine/make_executor.h" // from a plan to forward and backward passes
#include "fcc/model/device.h"
#include "fcc/model/hugging_face.h" // reading and writing model directories
#include "fcc/model/memory_state.h" // what a model remembers, and its file
#include "fcc/model/parameters.h"

// Training
#include "fcc/optim/grad_norm.h"
#include "fcc/optim/lr_schedule.h"
#include "fcc/optim/optimizer.h"
#include "fcc/train/micro_batch.h" // a batch as tensors on a device
#include "fcc/train/trainer.h"     // a whole run: stages, validation, checkpoints

// Generation
#include "fcc/generate/loaded_model.h" // a model with its tokenizer
#include "fcc/generate/sampler.h"
#include "fcc/generate/stream.h" // token by token, at constant cost
