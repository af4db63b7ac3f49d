#pragma once

// The keys of datasets and tasks; run_config_fields.h includes this file.

#include "fcc/config/run_config.h"
#include "fcc/config/run_config_names.h"

namespace fcc {

template <typename Visitor>
void visit(Visitor& v, RecallTemplate& c) {
  v.field(
      "needle",
      c.needle,
      {.doc = "The fact: `{key}` stands for its value, `{name}` for what it is of, `{kind}` for "
              "the sort of value.",
       .required = true});
  v.field(
      "question",
      c.question,
      {.doc = "What stands before the value where it is asked for.", .required = true});
}

template <typename Visitor>
void visit(Visitor& v, TaskOptions& c) {
  v.field("values", c.values, {.doc = "What needles hide."});
  v.field("digits", c.digits, {.doc = "Digits of a number.", .min = 1, .max = 18});
  v.field(
      "keys",
      c.keys,
      {.doc = "Names that have a value; variables: chains.", .min = 1, .max = 1024});
  v.field("asked", c.asked, {.doc = "How many of the names are asked for.", .min = 1, .max = 1024});
  v.field(
      "values_per_key", c.values_per_key, {.doc = "Needles of each name.", .min = 1, .max = 1024});
  v.field("hops", c.hops, {.doc = "variables: assignments after the first.", .min = 1, .max = 64});
  v.field("facts", c.facts, {.doc = "qa1 to qa5: sentences of the story.", .min = 1, .max = 1024});
  v.field("words", c.words, {.doc = "copy: words of the passage.", .min = 1, .max = 1024});
  v.field(
      "template",
      c.wording,
      {.doc = "Wording of needles: the name of a built-in one, or a JSON file with `needle`, "
              "`question` and, if wanted, `intro` and `questions`."});
  v.field("intro", c.intro, {.doc = "Text at the start."});
  v.field("filler", c.filler, {.doc = "Text that repeats where there is no `path`."});
  v.field("needle", c.needle, {.doc = "Text that tells a value, as {key}."});
  v.field("question", c.question, {.doc = "Text before the answer."});
}

template <typename Visitor>
void visit(Visitor& v, DatasetConfig& c) {
  v.field(
      "type",
      c.type,
      {.doc =
           "tokens: a token file as one stream; documents: its documents one by one; passkey: made "
           "on the fly (arXiv 2405.04620, appendix C); recall: facts and questions at any place of "
           "a row, made on the fly; task: any task of `fcc-eval passkey --task`, made on the fly; "
           "pairs: prompts and answers from JSONL or Parquet."});
  v.field("name", c.name, {.doc = "Name in reports; empty: type (or task) and index."});
  v.field(
      "path",
      c.path,
      {.doc = "Token file (tokens, documents, the text of recall and task); JSONL or Parquet "
              "(pairs)."});
  v.field(
      "weight",
      c.weight,
      {.doc = "Share of the rows among the section's datasets.", .min = 0, .above_min = true});
  v.field(
      "document_memory",
      c.document_memory,
      {.doc = "Memory across document borders: carry it on, or reset it (documents then start on "
              "segment borders)."});
  v.field("digits", c.digits, {.doc = "passkey: digits of the key.", .min = 1, .max = 18});
  v.field(
      "first_share",
      c.first_share,
      {.doc = "passkey, recall: share of samples with the needle at the very start.",
       .min = 0,
       .max = 1});
  v.field(
      "depth",
      c.depth,
      {.doc = "passkey: depth of the needle, 0 = start, 1 = end; null: drawn uniformly.",
       .min = 0,
       .max = 1});
  v.field("intro", c.intro, {.doc = "passkey: text at the start; null: the paper's."});
  v.field(
      "filler", c.filler, {.doc = "passkey: text repeated around the needle; null: the paper's."});
  v.field(
      "needle",
      c.needle,
      {.doc = "passkey: the hidden sentence, `{key}` stands for the digits; null: the paper's."});
  v.field(
      "question",
      c.question,
      {.doc = "passkey: text at the end, before the answer; null: the paper's."});
  v.field(
      "filler_blocks",
      c.filler_blocks,
      {.doc = "passkey: the filler is cut wherever the needle and the question come; or stands in "
              "whole repeats but for the first, which lacks its beginning; or in whole repeats "
              "alone, as in the paper (a row is then a little shorter)."});
  v.field(
      "length",
      c.length,
      {.doc = "passkey, task: exact: the answer ends the row, always on the same place of its "
              "segment; free: it ends on any token of the row's last segment, drawn for every row, "
              "with padding behind it."});
  v.field("task", c.task, {.doc = "task: its name; `fcc-eval passkey --help` lists them."});
  v.field("options", c.options, {.doc = "task: what is changed of it."});
  v.field("keys", c.keys, {.doc = "recall: facts in a row.", .min = 1, .max = 1024});
  v.field("questions", c.questions, {.doc = "recall: questions in a row.", .min = 1, .max = 1024});
  v.field(
      "composed_share",
      c.composed_share,
      {.doc = "recall: share of the facts whose wording, subject and value are put together at "
              "random; the others are `templates`.",
       .min = 0,
       .max = 1});
  v.field(
      "text_share",
      c.text_share,
      {.doc = "recall: share of the rows whose filler is text of `path`; in the others one of "
              "`fillers` is repeated.",
       .min = 0,
       .max = 1});
  v.field(
      "templates",
      c.templates,
      {.doc = "recall: how facts are told and asked for; null: the built-in sentences."});
  v.field("fillers", c.fillers, {.doc = "recall: texts to repeat; null: the built-in ones."});
  v.field(
      "prompt_key",
      c.prompt_key,
      {.doc = "pairs: key or column of the prompt; null: article, text, document or chapter."});
  v.field(
      "answer_key",
      c.answer_key,
      {.doc =
           "pairs: key or column of the answer; null: summary, highlights or summary_text (which "
           "goes before summary)."});
  v.field(
      "template",
      c.prompt_template,
      {.doc =
           "pairs: what the model reads before the answer; `{prompt}` stands for the row's text. "
           "Special tokens written here are special; in the row's text they are not."});
  v.field("shuffle", c.shuffle, {.doc = "pairs: each epoch in an order drawn from train.seed."});
  v.field("loss_on", c.loss_on, {.doc = "passkey, pairs, recall, task: targets that count."});
  v.field(
      "context_weight",
      c.context_weight,
      {.doc = "passkey, pairs, recall, task: target weight outside the answer (loss_on all).",
       .min = 0});
  v.field(
      "answer_weight",
      c.answer_weight,
      {.doc = "passkey, pairs, recall, task: target weight of the answer.",
       .min = 0,
       .above_min = true});
}

template <typename Visitor>
void visit(Visitor& v, DataSection& c) {
  v.field("tokenizer", c.tokenizer, {.doc = "How text becomes tokens."});
  v.field("train", c.train, {.doc = "Datasets to train on, mixed by weight."});
  v.field("validation", c.validation, {.doc = "Datasets to validate on."});
}

} // namespace fcc
