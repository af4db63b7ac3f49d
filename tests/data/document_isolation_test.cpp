// Where memory does not cross, a document leaves no trace in any other: every dataset's batches go
// through a real model, and changing one document changes logits and losses of the others by
// exactly 0, in both executions and all schedules.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/randn.h>

#include "data/helpers.h"
#include "fcc/data/loader.h"
#include "fcc/data/loss_coefficients.h"
#include "fcc/engine/make_executor.h"
#include "fcc/io/files.h"
#include "fcc/model/reference.h"
#include "fcc/train/micro_batch.h"

namespace fcc {
namespace {

using test::bytes_tokenizer;
using test::dataset_of;
using test::TemporaryFolder;
using test::write_tokens;

constexpr std::int64_t kSegmentLength = 8;

/// A model whose output answers to everything it sees: weights of order one.
std::unique_ptr<FlatParameters> model(ComputeDType dtype, FirstMemory first_memory) {
  at::set_num_threads(1); // tiny tensors: more threads would only wait for each other
  const at::NoGradGuard no_grad;
  ModelConfig config;
  config.vocab_size = 258;
  config.hidden_size = 12;
  config.intermediate_size = 17;
  config.num_hidden_layers = 3;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 6;
  config.initializer_range = 0.3;
  config.fcc = FccConfig{.segment_length = kSegmentLength, .first_memory = first_memory};
  auto parameters = std::make_unique<FlatParameters>(config, dtype, at::kCPU, 11);
  for (const NamedTensor& weight : parameters->named(parameters->master())) {
    if (weight.name.find("initial_memory") != std::string::npos) {
      weight.tensor.copy_(at::randn(weight.tensor.sizes()));
    }
  }
  parameters->update_compute();
  return parameters;
}

/// Documents of ugly lengths: shorter than a segment, equal to one, over several. `changed` has
/// other bytes, as many.
std::vector<std::vector<std::int32_t>> documents(int changed) {
  constexpr std::array<int, 7> kLengths{5, 19, 8, 1, 27, 16, 9};
  std::vector<std::vector<std::int32_t>> result;
  for (int d = 0; d < static_cast<int>(kLengths.size()); ++d) {
    auto& ids = result.emplace_back();
    for (int i = 0; i < kLengths[static_cast<std::size_t>(d)]; ++i) {
      ids.push_back((d * 31 + i * i * 7 + (d == changed ? 101 : 0)) % 256);
    }
  }
  return result;
}

std::filesystem::path
write_documents(const TemporaryFolder& folder, const std::string& name, int changed) {
  return write_tokens(folder, documents(changed), *bytes_tokenizer(), name);
}

std::filesystem::path
write_pairs(const TemporaryFolder& folder, const std::string& name, int changed) {
  std::string lines;
  for (int i = 0; i < 5; ++i) {
    const std::string text = "pair " + std::to_string(i == changed ? 77 : i);
    lines += "{\"article\": \"" + text + " is long\", \"summary\": \"" + text + "\"}\n";
  }
  write_file_atomic(folder / name, lines);
  return folder / name;
}

/// The datasets of one test over documents of which `changed` differs (-1: none).
using Datasets = std::function<std::vector<DatasetConfig>(const TemporaryFolder&, int changed)>;

DatasetConfig reset_tokens(const TemporaryFolder& folder, int changed) {
  DatasetConfig config = dataset_of(
      DatasetKind::kTokens,
      write_documents(folder, "t" + std::to_string(changed) + ".safetensors", changed));
  config.document_memory = DocumentMemory::kReset;
  return config;
}

DatasetConfig whole_documents(const TemporaryFolder& folder, int changed) {
  return dataset_of(
      DatasetKind::kDocuments,
      write_documents(folder, "d" + std::to_string(changed) + ".safetensors", changed));
}

DatasetConfig pairs(const TemporaryFolder& folder, int changed) {
  return dataset_of(
      DatasetKind::kPairs, write_pairs(folder, "p" + std::to_string(changed) + ".jsonl", changed));
}

DatasetConfig passkey() {
  DatasetConfig config = dataset_of(DatasetKind::kPasskey);
  config.intro = "";
  config.filler = "La la.";
  config.needle = "Key {key}!";
  config.question = "Key?";
  return config;
}

Batch batch_of(const Datasets& datasets, const TemporaryFolder& folder, int changed) {
  Loader loader = make_loader(datasets(folder, changed), bytes_tokenizer(), 3);
  return loader.next({.batch_size = 6, .num_segments = 9, .segment_length = kSegmentLength});
}

/// The document that each position of a batch belongs to: a number of its own in the whole batch.
std::vector<int> documents_of(const Batch& batch) {
  std::vector<int> result;
  const auto num_segments = static_cast<std::size_t>(batch.shape.all_segments());
  int document = -1;
  for (std::size_t i = 0; i < batch.ids.size(); ++i) {
    const std::size_t segment = i / static_cast<std::size_t>(kSegmentLength);
    const bool at_border = i % static_cast<std::size_t>(kSegmentLength) == 0;
    if (at_border && (segment % num_segments == 0 || batch.segment_starts_document[segment] != 0)) {
      ++document;
    }
    result.push_back(document);
  }
  return result;
}

/// [B, T, width] One way to run the model; everything of it that a position puts out.
using Run = std::function<at::Tensor(FlatParameters&, const MicroBatch&)>;

at::Tensor reference_outputs(FlatParameters& parameters, const MicroBatch& batch) {
  const at::NoGradGuard no_grad;
  const ModelWeights weights = parameters.view(parameters.compute());
  ReferenceOptions options;
  options.segment_starts_document = batch.segment_starts_document;
  return reference_logits(
      weights, reference_forward(parameters.config(), weights, batch.ids, {}, options).hidden);
}

Run losses_of(
    Execution execution,
    Schedule schedule,
    std::optional<std::int64_t> chunk,
    bool train) {
  return [=](FlatParameters& parameters, const MicroBatch& batch) {
    EngineSection engine;
    engine.dtype = parameters.compute().scalar_type() == at::kDouble ? ComputeDType::kFloat64
                                                                     : ComputeDType::kFloat32;
    engine.execution = execution;
    engine.schedule = schedule;
    engine.chunk_segments = chunk;
    const auto executor = make_executor(parameters, engine);
    executor->clear_gradients();
    const PassResult result = train ? executor->train(batch) : executor->evaluate(batch, nullptr);
    return result.token_losses.unsqueeze(-1).clone();
  };
}

struct Counts {
  int same = 0, different = 0;
  int same_behind_changed = 0; ///< in one row
};

/// Compares what both batches give, position by position, bit by bit.
Counts compare(const Batch& a, const Batch& b, const at::Tensor& out_a, const at::Tensor& out_b) {
  const std::vector<int> document = documents_of(a);
  EXPECT_EQ(document, documents_of(b));
  std::vector<bool> is_changed(static_cast<std::size_t>(document.back()) + 1);
  for (std::size_t i = 0; i < document.size(); ++i) {
    if (a.ids[i] != b.ids[i] || a.targets[i] != b.targets[i]) {
      is_changed[static_cast<std::size_t>(document[i])] = true;
    }
  }
  const at::Tensor left = out_a.contiguous(), right = out_b.contiguous();
  const auto num_bytes = static_cast<std::size_t>(left.size(-1) * left.element_size());
  const auto row_length = static_cast<std::size_t>(a.shape.length_tokens());
  Counts counts;
  bool changed_before = false;
  for (std::size_t i = 0; i < document.size(); ++i) {
    changed_before = changed_before && i % row_length != 0;
    const bool same = std::memcmp(
                          static_cast<const char*>(left.const_data_ptr()) + i * num_bytes,
                          static_cast<const char*>(right.const_data_ptr()) + i * num_bytes,
                          num_bytes) == 0;
    if (is_changed[static_cast<std::size_t>(document[i])]) {
      changed_before = true;
      counts.different += !same;
    } else {
      EXPECT_TRUE(same) << "position " << i << " of document " << document[i];
      counts.same += same;
      counts.same_behind_changed += same && changed_before;
    }
  }
  return counts;
}

MicroBatch micro_batch(const Batch& batch, at::ScalarType dtype) {
  LossCounts counts;
  count_targets(batch, counts);
  return to_micro_batch(
      batch, loss_coefficients(batch, counts, LossKind::kTokenMean), at::kCPU, dtype);
}

void expect_isolated(const Batch& a, const Batch& b, bool packs) {
  const std::vector<std::pair<std::string, Run>> runs{
      {"reference logits", reference_outputs},
      {"reference", losses_of(Execution::kReference, Schedule::kWavefront, {}, false)},
      {"fused wavefront", losses_of(Execution::kFused, Schedule::kWavefront, {}, false)},
      {"fused wavefront, training", losses_of(Execution::kFused, Schedule::kWavefront, {}, true)},
      {"fused in chunks, training", losses_of(Execution::kFused, Schedule::kWavefront, 2, true)},
      {"fused sequential", losses_of(Execution::kFused, Schedule::kSequential, 3, true)}};
  for (const ComputeDType dtype : {ComputeDType::kFloat32, ComputeDType::kFloat64}) {
    const auto parameters = model(dtype, FirstMemory::kAbsent);
    const at::ScalarType scalar = dtype == ComputeDType::kFloat64 ? at::kDouble : at::kFloat;
    for (const auto& [name, run] : runs) {
      SCOPED_TRACE(name);
      const at::Tensor out_a = run(*parameters, micro_batch(a, scalar));
      const Counts counts = compare(a, b, out_a, run(*parameters, micro_batch(b, scalar)));
      EXPECT_GT(counts.different, 0) << "the change must show in its own document";
      EXPECT_GT(counts.same, 50);
      EXPECT_EQ(counts.same_behind_changed > 0, packs);
    }
  }
}

void expect_isolated(const Datasets& datasets, bool packs) {
  const TemporaryFolder folder;
  const Batch plain = batch_of(datasets, folder, -1);
  for (const int changed : {0, 1, 4}) {
    SCOPED_TRACE("document " + std::to_string(changed));
    expect_isolated(plain, batch_of(datasets, folder, changed), packs);
  }
}

TEST(DocumentIsolation, PackedDocumentsWithResetMemory) {
  expect_isolated(
      [](const TemporaryFolder& folder, int changed) {
        return std::vector{reset_tokens(folder, changed)};
      },
      true);
}

TEST(DocumentIsolation, WholeDocuments) {
  expect_isolated(
      [](const TemporaryFolder& folder, int changed) {
        return std::vector{whole_documents(folder, changed)};
      },
      false);
}

TEST(DocumentIsolation, Pairs) {
  expect_isolated(
      [](const TemporaryFolder& folder, int changed) {
        return std::vector{pairs(folder, changed)};
      },
      false);
}

TEST(DocumentIsolation, PasskeySamples) {
  const TemporaryFolder folder;
  const Datasets datasets = [](const TemporaryFolder&, int) { return std::vector{passkey()}; };
  const Batch plain = batch_of(datasets, folder, -1);
  // The samples are drawn, so one is put in another's place.
  Batch changed = plain;
  const auto length = static_cast<std::size_t>(plain.shape.length_tokens());
  std::copy_n(plain.ids.begin(), length, changed.ids.begin() + static_cast<std::ptrdiff_t>(length));
  std::copy_n(
      plain.targets.begin(), length, changed.targets.begin() + static_cast<std::ptrdiff_t>(length));
  expect_isolated(plain, changed, false);
}

TEST(DocumentIsolation, AMixtureOfAllOfThem) {
  expect_isolated(
      [](const TemporaryFolder& folder, int changed) {
        std::vector<DatasetConfig> mixture{
            reset_tokens(folder, changed),
            whole_documents(folder, changed),
            pairs(folder, changed),
            passkey()};
        mixture[0].weight = 3.0;
        return mixture;
      },
      true);
}

TEST(DocumentIsolation, HoldsWithAFirstMemoryOfZerosOrLearned) {
  const TemporaryFolder folder;
  const Datasets datasets = [](const TemporaryFolder& in, int changed) {
    return std::vector{reset_tokens(in, changed)};
  };
  const Batch plain = batch_of(datasets, folder, -1), changed = batch_of(datasets, folder, 1);
  for (const FirstMemory first : {FirstMemory::kZeros, FirstMemory::kLearned}) {
    const auto parameters = model(ComputeDType::kFloat64, first);
    const Counts counts = compare(
        plain,
        changed,
        reference_outputs(*parameters, micro_batch(plain, at::kDouble)),
        reference_outputs(*parameters, micro_batch(changed, at::kDouble)));
    EXPECT_GT(counts.different, 0);
    EXPECT_GT(counts.same_behind_changed, 0);
  }
}

TEST(DocumentIsolation, CarriedMemoryDoesCross) {
  // The other setting: the test above would see a leak.
  const TemporaryFolder folder;
  const Datasets datasets = [](const TemporaryFolder& in, int changed) {
    DatasetConfig config = reset_tokens(in, changed);
    config.document_memory = DocumentMemory::kCarry;
    return std::vector{config};
  };
  const Batch plain = batch_of(datasets, folder, -1), changed = batch_of(datasets, folder, 1);
  const auto parameters = model(ComputeDType::kFloat64, FirstMemory::kAbsent);
  const at::Tensor left = reference_outputs(*parameters, micro_batch(plain, at::kDouble));
  const at::Tensor right = reference_outputs(*parameters, micro_batch(changed, at::kDouble));
  // Document 2 lies at 24..31 of the first row, in the segment behind the changed one.
  EXPECT_EQ(plain.ids[24], documents(-1)[2][0]);
  EXPECT_FALSE(left[0].slice(0, 24, 32).equal(right[0].slice(0, 24, 32)));
}

} // namespace
} // namespace fcc
