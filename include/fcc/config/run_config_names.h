#pragma once

// The JSON names of the choices in run_config.h.

#include <array>
#include <string_view>
#include <utility>

#include "fcc/config/field.h"
#include "fcc/config/run_config.h"

namespace fcc {

template <>
struct EnumNames<TokenizerKind> {
  static constexpr std::array<std::pair<std::string_view, TokenizerKind>, 6> value{
      {{"auto", TokenizerKind::kAuto},
       {"bytes", TokenizerKind::kBytes},
       {"words", TokenizerKind::kWords},
       {"sentencepiece", TokenizerKind::kSentencePiece},
       {"huggingface", TokenizerKind::kHuggingFace},
       {"tiktoken", TokenizerKind::kTiktoken}}};
};
template <>
struct EnumNames<DatasetKind> {
  static constexpr std::array<std::pair<std::string_view, DatasetKind>, 6> value{
      {{"tokens", DatasetKind::kTokens},
       {"documents", DatasetKind::kDocuments},
       {"passkey", DatasetKind::kPasskey},
       {"recall", DatasetKind::kRecall},
       {"pairs", DatasetKind::kPairs},
       {"task", DatasetKind::kTask}}};
};
template <>
struct EnumNames<DocumentMemory> {
  static constexpr std::array<std::pair<std::string_view, DocumentMemory>, 2> value{
      {{"carry", DocumentMemory::kCarry}, {"reset", DocumentMemory::kReset}}};
};
template <>
struct EnumNames<RowLength> {
  static constexpr std::array<std::pair<std::string_view, RowLength>, 2> value{
      {{"exact", RowLength::kExact}, {"free", RowLength::kFree}}};
};
template <>
struct EnumNames<FillerBlocks> {
  static constexpr std::array<std::pair<std::string_view, FillerBlocks>, 3> value{
      {{"cut", FillerBlocks::kCut},
       {"whole_but_first", FillerBlocks::kWholeButFirst},
       {"whole", FillerBlocks::kWhole}}};
};
template <>
struct EnumNames<NeedleValue> {
  static constexpr std::array<std::pair<std::string_view, NeedleValue>, 3> value{
      {{"digits", NeedleValue::kDigits},
       {"words", NeedleValue::kWords},
       {"uuid", NeedleValue::kUuid}}};
};
template <>
struct EnumNames<LossOn> {
  static constexpr std::array<std::pair<std::string_view, LossOn>, 2> value{
      {{"all", LossOn::kAll}, {"answer", LossOn::kAnswer}}};
};
template <>
struct EnumNames<LrSchedule> {
  static constexpr std::array<std::pair<std::string_view, LrSchedule>, 3> value{
      {{"cosine", LrSchedule::kCosine},
       {"linear", LrSchedule::kLinear},
       {"constant", LrSchedule::kConstant}}};
};
template <>
struct EnumNames<OptimKind> {
  static constexpr std::array<std::pair<std::string_view, OptimKind>, 2> value{
      {{"adamw", OptimKind::kAdamW}, {"muon", OptimKind::kMuon}}};
};
template <>
struct EnumNames<LossKind> {
  static constexpr std::array<std::pair<std::string_view, LossKind>, 2> value{
      {{"segment_mean_sum", LossKind::kSegmentMeanSum}, {"token_mean", LossKind::kTokenMean}}};
};
template <>
struct EnumNames<Execution> {
  static constexpr std::array<std::pair<std::string_view, Execution>, 3> value{
      {{"auto", Execution::kAuto},
       {"reference", Execution::kReference},
       {"fused", Execution::kFused}}};
};
template <>
struct EnumNames<Schedule> {
  static constexpr std::array<std::pair<std::string_view, Schedule>, 2> value{
      {{"wavefront", Schedule::kWavefront}, {"sequential", Schedule::kSequential}}};
};
template <>
struct EnumNames<Activations> {
  static constexpr std::array<std::pair<std::string_view, Activations>, 3> value{
      {{"store", Activations::kStore},
       {"recompute", Activations::kRecompute},
       {"auto", Activations::kAuto}}};
};
template <>
struct EnumNames<ComputeDType> {
  static constexpr std::array<std::pair<std::string_view, ComputeDType>, 3> value{
      {{"float64", ComputeDType::kFloat64},
       {"float32", ComputeDType::kFloat32},
       {"bfloat16", ComputeDType::kBFloat16}}};
};

} // namespace fcc
