#pragma once

#include <string>
#include <vector>

#include "fcc/config/run_config.h"

namespace fcc {

class Random;

/// The built-in wordings of a fact and its question.
const std::vector<RecallTemplate>& recall_templates();

/// The built-in texts that are repeated as filler.
const std::vector<std::string>& recall_fillers();

/// What sort of thing a value is (`{kind}`): "access code", "badge", …
std::string draw_recall_kind(Random& random);

/// Something to be named: a pronounceable word that no vocabulary holds, or a common noun, or both.
std::string draw_recall_name(Random& random);

/// A common noun of the built-in list.
std::string draw_recall_noun(Random& random);

/// A pronounceable word that no vocabulary holds, capitalized.
std::string draw_capitalized_word(Random& random);

/// A value to be remembered: three to eight digits, one or two words, or hexadecimal groups.
std::string draw_recall_value(Random& random);

} // namespace fcc
