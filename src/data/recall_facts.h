#pragma once

#include <string>

namespace fcc {

class Random;

/// A fact, how it is asked for, and what the answer is, as texts.
struct RecallFact {
  std::string told, question, value;
};

/// A fact in a wording that is put together at random: who or what it is about, what is said of
/// it, the sentence's form, what stands around it, and how it is asked for are drawn apart, so that
/// hardly two facts of a training read alike. Values are numbers, words, names, dates and
/// hexadecimal strings of any length up to a UUID's.
RecallFact compose_recall_fact(Random& random);

} // namespace fcc
