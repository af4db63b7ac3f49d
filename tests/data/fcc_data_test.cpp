// The program as a user meets it: exit codes, messages, files.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <thread>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/helpers.h"
#include "fcc/io/files.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;
using test::TemporaryFolder;

const std::string kProgram = FCC_BINARY_DIR "/bin/fcc-data";
const std::string kBook = FCC_SOURCE_DIR "/tests/data/pride_and_prejudice.txt";

struct Result {
  int exit_code = -1;
  std::string output; ///< standard output and error
};

Result run(const std::string& arguments) {
  Result result;
  FILE* pipe = ::popen((kProgram + " " + arguments + " 2>&1").c_str(), "r");
  std::array<char, 4096> buffer;
  for (std::size_t got = 0; (got = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
    result.output.append(buffer.data(), got);
  }
  const int status = ::pclose(pipe);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return result;
}

bool has(const Result& result, const std::string& text) {
  return result.output.find(text) != std::string::npos;
}

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

/// Starts the program by itself, so that it can be killed.
pid_t start(const std::vector<std::string>& arguments) {
  const pid_t child = ::fork();
  if (child == 0) {
    const int nothing = ::open("/dev/null", O_WRONLY);
    ::dup2(nothing, 1);
    ::dup2(nothing, 2);
    std::vector<char*> argv{const_cast<char*>(kProgram.c_str())};
    for (const std::string& argument : arguments) {
      argv.push_back(const_cast<char*>(argument.c_str()));
    }
    argv.push_back(nullptr);
    ::execv(kProgram.c_str(), argv.data());
    ::_exit(127);
  }
  return child;
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
        "--quiet"};
  };
  const std::string whole = folder / "whole", resumed = folder / "resumed";
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
    const pid_t child = start(arguments(resumed));
    // The first few die while they start, the others some time after they got further.
    for (int i = 0; kill > 1 && i < 5000 && written() == before && !fs::exists(resumed); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(7 * kill));
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
  }
  if (!fs::exists(resumed) || fs::exists(state)) {
    ::waitpid(start(arguments(resumed)), &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(read_file(resumed), read_file(whole));
}

TEST(FccData, ALineWithoutEndIsRefusedInBoundedMemory) {
  const TemporaryFolder folder;
  {
    // A sparse file: 1 GB of zero bytes, no line end.
    const int file = ::open((folder / "line.jsonl").c_str(), O_WRONLY | O_CREAT, 0644);
    ASSERT_EQ(::ftruncate(file, off_t{1} << 30), 0);
    ::close(file);
  }
  const Result result =
      run("tokenize " + (folder / "line.jsonl").string() + " -o " + (folder / "out").string() +
          " --max-document-bytes 16MB");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_TRUE(has(result, "may have at most 16777216 bytes")) << result.output;
  rusage usage{};
  ::getrusage(RUSAGE_CHILDREN, &usage);
  // Every run of this program so far, the largest: far below the line.
  EXPECT_LT(usage.ru_maxrss, 700 * 1024) << "kB";
}

} // namespace
} // namespace fcc
