// The program as a user meets it: exit codes, messages, files.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <thread>

#include <sys/wait.h>

#include "data/helpers.h"
#include "data/program.h"
#include "fcc/core/error.h"
#include "fcc/data/loader.h"
#include "fcc/io/files.h"
#include "support/places.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;
using test::bytes_tokenizer;
using test::has;
using test::Result;
using test::run;
using test::start;
using test::TemporaryFolder;

const std::string kBook = source_dir() + "/tests/data/pride_and_prejudice.txt";

TEST(FccData, TokenizesABookAndShowsIt) {
  const TemporaryFolder folder;
  const std::string tokens = folder / "book.safetensors";
  Result result = run("tokenize " + kBook + " -o " + tokens);
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_TRUE(has(result, "1 documents, 684,769 tokens (U16), tokenizer bytes")) << result.output;
  EXPECT_TRUE(has(result, "524,288 -    1,048,575            1")) << result.output;
  result = run("inspect " + tokens + " --segments 2 --segment-length 19");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(has(result, "|PRIDE AND PREJUDICE|")) << result.output;
  EXPECT_TRUE(has(result, "|RIDE AND PREJUDICE\\n|")) << result.output;

  result = run("tokenize " + kBook + " -o " + tokens);
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_TRUE(has(result, "--overwrite")) << result.output;
}

TEST(FccData, MarksDocumentsPaddingAndAnswers) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "a.txt", "Once.\n\n\nTwice upon.\n\n\nThrice.");
  const std::string tokens = folder / "a.safetensors";
  Result result =
      run("tokenize " + (folder / "a.txt").string() + " -o " + tokens +
          " --split-documents '\\n\\n\\n'");
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_TRUE(has(result, "3 documents, 26 tokens")) << result.output;
  result =
      run("tokenize " + (folder / "a.txt").string() + " -o " + (folder / "train").string() +
          " --split-documents '\\n\\n\\n' --holdout " + (folder / "held").string() +
          " --holdout-share 0.3");
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_TRUE(has(result, "train: 2 documents, 18 tokens")) << result.output;
  EXPECT_TRUE(has(result, "held: 1 documents, 8 tokens")) << result.output;
  result = run("inspect " + tokens + " --document-memory reset --segment-length 8 --segments 4");
  EXPECT_TRUE(has(result, "padding at this length: 18.8 %")) << result.output;
  EXPECT_TRUE(has(result, "segment 1, starts a document")) << result.output;
  EXPECT_TRUE(has(result, "<3 not counted>")) << result.output;
  result = run("inspect --type passkey --tokenizer words --segments 3 --segment-length 32");
  EXPECT_TRUE(has(result, "The passkey is{{")) << result.output;
}

TEST(FccData, WritesPasskeySamplesAndTheirVocabulary) {
  const TemporaryFolder folder;
  Result result = run("words --passkey -o " + (folder / "vocabulary.txt").string());
  EXPECT_EQ(result.exit_code, 0) << result.output;
  result =
      run("passkey --count 5 --length 239 --tokenizer " + (folder / "vocabulary.txt").string() +
          " -o " + (folder / "passkey.jsonl").string());
  EXPECT_EQ(result.exit_code, 0) << result.output;
  const std::string lines = read_file(folder / "passkey.jsonl");
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 5);
  EXPECT_NE(lines.find("\"digits\":\""), std::string::npos);
  result = run("passkey --count 5 --length 239 -o " + (folder / "passkey.safetensors").string());
  EXPECT_EQ(result.exit_code, 0) << result.output;
  const TokenFile file(folder / "passkey.safetensors");
  EXPECT_EQ(file.num_documents(), 5);
  EXPECT_EQ(file.num_tokens(), 5 * 240);
  result = run("words " + kBook + " --max-words 100 -o " + (folder / "book.txt").string());
  EXPECT_TRUE(has(result, "103 words")) << result.output;
}

TEST(FccData, SaysWhatIsWrongWithItsExitCode) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "bad.jsonl", "{\"text\": \"a\"}\n{\"text\": oops}\n");
  const std::string out = " -o " + (folder / "out").string();
  Result result = run("tokenize " + (folder / "bad.jsonl").string() + out);
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_TRUE(has(result, "fcc-data: error: " + (folder / "bad.jsonl").string() + ":2"))
      << result.output;
  result = run("tokenize " + (folder / "none.txt").string() + out);
  EXPECT_EQ(result.exit_code, 2) << result.output;
  result = run("tokenize " + kBook + out + " --tokenizer " + (folder / "none").string());
  EXPECT_EQ(result.exit_code, 2) << result.output;
  EXPECT_EQ(run("tokenize").exit_code, 2);
  EXPECT_EQ(run("").exit_code, 2);
  EXPECT_EQ(run("passkey --length 5 -o " + (folder / "x.jsonl").string()).exit_code, 2);
  EXPECT_EQ(run("inspect " + kBook).exit_code, 1);
  for (const char* help :
       {"--help", "tokenize --help", "inspect --help", "words --help", "passkey --help"}) {
    result = run(help);
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_TRUE(has(result, "Usage")) << result.output;
  }
}

TEST(FccData, RefusesWhatMakesNoSenseNamingTheValueAndTheRule) {
  const TemporaryFolder folder;
  fs::create_directories(folder / "empty");
  fs::create_directories(folder / "out.d");
  write_file_atomic(folder / "a.txt", "some text");
  write_file_atomic(folder / "none.jsonl", "\n\n");
  const std::string a = folder / "a.txt", out = " -o " + (folder / "out").string();
  const std::string tokens = folder / "a.safetensors";
  ASSERT_EQ(run("tokenize " + a + " -o " + tokens).exit_code, 0);
  struct Case {
    std::string arguments;
    int exit_code;
    std::string expected;
  };
  for (const Case& c : std::vector<Case>{
           {"tokenize " + a, 2, "--output is required"},
           {"tokenize " + a + " -o " + a + " --overwrite", 2, "must not be one of the inputs"},
           {"tokenize " + a + " -o " + (folder / "out.d").string(), 2, "got a folder"},
           {"tokenize " + a + " -o /dev/null", 2, "got a device"},
           {"tokenize " + a + " -o /dev/null/out", 1, "/dev/null/out.partial: cannot create"},
           {"tokenize " + (folder / "empty").string() + out, 2, "a folder must hold .txt"},
           {"tokenize " + (folder / "none.jsonl").string() + out, 1, "0 read, of them 0 empty"},
           {"tokenize " + a + out + " --min-tokens 99", 1, "1 too short"},
           {"tokenize " + a + out + " --min-tokens 9 --max-tokens 5", 2, "--min-tokens 9; got 5"},
           {"tokenize " + a + out + " --min-tokens x", 2, "a whole number, 0 or more; got x"},
           {"tokenize " + a + out + " --shuffle-seed -1", 2, "0 or more, below 2^64; got -1"},
           {"tokenize " + a + out + " --sync-bytes -1", 2, "a unit, as 64MB; got -1"},
           {"tokenize " + a + out + " --max-document-bytes -1MB", 2, "64MB; got -1MB"},
           {"passkey --seed -1 -o x.jsonl", 2, "below 2^64; got -1"},
           {"tokenize " + a + out + " --threads 0", 2, "1 to 4096; got 0"},
           {"tokenize " + a + out + " --holdout h", 2, "go together; got a share of 0"},
           {"tokenize " + a + out + " --holdout-share 0.5 --holdout " + (folder / "out").string(),
            2,
            "must be another file"},
           {"tokenize " + a + out + " --holdout-share 0.5 --holdout " + (folder / ".").string() +
                "/out",
            2,
            "must be another file"},
           {"tokenize " + a + out + " --max-document-bytes 3", 1, "at most 3 bytes"},
           {"tokenize " + a + out + " --tokenizer " + (folder / "empty").string(),
            2,
            "a directory must hold fcc_tokenizer.json"},
           {"tokenize " + a + out + " --tokenizer " + tokens, 1, "must be a SentencePiece model"},
           {"tokenize " + a + out + " --nonsense", 2, "--nonsense"},
           {"inspect " + a, 1, "must be a token file"},
           {"inspect " + (folder / "empty").string(), 1, "must be a regular file"},
           {"inspect " + (folder / "absent").string(), 2, "No such file"},
           {"inspect " + tokens + " --type tokns",
            2,
            "tokens|documents|passkey|recall|pairs|task; got tokns"},
           {"inspect " + tokens + " --type passkey", 2, "no path; got"},
           {"inspect " + tokens + " --loss-on answer", 2, "--type tokens"},
           {"inspect " + tokens + " --add-bos", 2, "says itself"},
           {"inspect " + tokens + " --position -1", 2, "0 or more; got -1"},
           {"inspect " + tokens + " --segments 9999999 --segment-length 9999999", 2, "2^31 tokens"},
           {"words " + (folder / "none.jsonl").string() + out, 1, "must hold a word"},
           {"words " + a + " -o " + a, 2, "must not be one of the inputs"},
           {"words " + a + out + " --min-count 0", 2, "1 or more; got 0"},
           {"passkey -o x.txt", 2, ".jsonl or .safetensors; got x.txt"},
           {"passkey --digits 99 -o x.jsonl", 2, "1 to 18; got 99"},
           {"nonsense", 2, "fcc-data --help"}}) {
    const Result result = run(c.arguments);
    EXPECT_EQ(result.exit_code, c.exit_code) << c.arguments << "\n" << result.output;
    EXPECT_TRUE(has(result, c.expected)) << c.arguments << "\n" << result.output;
    EXPECT_TRUE(has(result, "fcc-data: error: ")) << c.arguments << "\n" << result.output;
    EXPECT_FALSE(fs::exists(folder / "out.partial")) << c.arguments;
    EXPECT_EQ(read_file(a), "some text");
  }
  const Result help = run("inspect --help");
  EXPECT_TRUE(has(help, "tokens|documents|passkey|recall|pairs|task")) << help.output;
  EXPECT_FALSE(has(help, "->")) << help.output;
  EXPECT_TRUE(has(help, "Usage: fcc-data inspect")) << help.output;
}

TEST(FccData, CountsMarksThatAreMissingOrDoubled) {
  const TemporaryFolder folder;
  const auto tokenizer = bytes_tokenizer();
  const std::int32_t bos = *tokenizer->bos_id(), eos = *tokenizer->eos_id();
  TokenSpool spool(folder / "spool", tokenizer->vocab_size(), {});
  for (const std::vector<std::int32_t>& ids : std::vector<std::vector<std::int32_t>>{
           {bos, 1, 2, eos}, {bos, bos, 1, eos}, {1, 2, eos}, {bos, 1, eos, eos}, {bos, 1}}) {
    spool.append(ids);
  }
  const std::string path = folder / "marks.safetensors";
  spool.write_token_file(path, token_file_info(*tokenizer, true, true));
  Result result = run("inspect " + path);
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_TRUE(has(result, "BOS        missing in 1 documents")) << result.output;
  EXPECT_TRUE(has(result, "BOS        doubled in 1 documents")) << result.output;
  EXPECT_TRUE(has(result, "EOS        missing in 1 documents")) << result.output;
  EXPECT_TRUE(has(result, "EOS        doubled in 1 documents")) << result.output;
  const MarkReport report = check_marks(TokenFile(path), *tokenizer);
  EXPECT_EQ(report.first_bad_bos, 1);
  EXPECT_EQ(check_marks(TokenFile(path), *tokenizer, 1).first_bad_bos, -1);
  try {
    make_loader(
        {test::dataset_of(DatasetKind::kTokens, path)}, tokenizer, 0, {.bos = true, .eos = true});
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_NE(std::string(error.what()).find("document 1 begins with"), std::string::npos);
  }
}

TEST(FccData, KilledAtAnyMomentAndStartedAgainItEndsInTheSameFile) {
  const TemporaryFolder folder;
  const std::string book = read_file(kBook);
  for (int i = 0; i < 24; ++i) {
    write_file_atomic(folder / ("book_" + std::to_string(i) + ".txt"), std::to_string(i) + book);
  }
  const auto arguments = [&](const std::string& output) {
    return std::vector<std::string>{
        "tokenize",
        folder.path().string(),
        "-o",
        output,
        "--sync-bytes",
        "1",
        "--dedup",
        "--shuffle-seed",
        "5",
        "--split-documents",
        "\\n\\n\\n",
        "--threads",
        "64",
        "--quiet"};
  };
  const std::string whole = folder / "whole", resumed = folder / "resumed", log = folder / "log";
  int status = 0;
  ::waitpid(start(arguments(whole)), &status, 0);
  ASSERT_EQ(status, 0);
  const fs::path state = resumed + ".partial/state.json";
  const auto written = [&state] {
    std::error_code absent;
    return fs::last_write_time(state, absent);
  };
  for (int kill = 0; kill < 8 && !fs::exists(resumed); ++kill) {
    const auto before = written();
    const pid_t child = start(arguments(resumed), log);
    // The first few die while they start, the others some time after they got further.
    for (int i = 0; kill > 1 && i < 5000 && written() == before && !fs::exists(resumed); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(7 * kill));
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0) << kill << ": " << read_file(log);
  }
  if (!fs::exists(resumed) || fs::exists(state)) {
    ::waitpid(start(arguments(resumed), log), &status, 0);
    EXPECT_EQ(status, 0) << read_file(log);
  }
  EXPECT_EQ(read_file(resumed), read_file(whole));
}

} // namespace
} // namespace fcc
