#include "fcc/io/atomic_directory.h"

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "fcc/core/error.h"
#include "fcc/core/random.h"
#include "fcc/io/files.h"
#include "fcc/io/safetensors.h"
#include "support/full_disk.h"
#include "support/temporary_directory.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;

std::set<std::string> names_in(const fs::path& directory) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) {
    names.insert(entry.path().filename().string());
  }
  return names;
}

/// A directory with `content` in a file and in a folder.
void write_directory(const fs::path& target, const std::string& content) {
  AtomicDirectory directory(target);
  write_plain(directory.path() / "a.txt", content);
  fs::create_directory(directory.path() / "folder");
  write_plain(directory.path() / "folder/b.txt", content + content);
  directory.commit();
}

std::string error_of_verifying(const fs::path& directory) {
  try {
    verify_manifest(directory);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(AtomicDirectory, AppearsWholeAtCommit) {
  const TemporaryDirectory parent;
  AtomicDirectory directory(parent / "c");
  write_plain(directory.path() / "a.txt", "content");
  EXPECT_FALSE(fs::exists(parent / "c"));
  directory.commit();
  EXPECT_EQ(names_in(parent.path()), std::set<std::string>{"c"});
  EXPECT_EQ(names_in(parent / "c"), (std::set<std::string>{"a.txt", "manifest.json"}));
  verify_manifest(parent / "c");
}

TEST(AtomicDirectory, TheManifestSaysSizeAndHashOfEachFile) {
  const TemporaryDirectory parent;
  {
    AtomicDirectory directory(parent / "c");
    write_plain(directory.path() / "a.txt", "abc");
    directory.commit();
  }
  EXPECT_EQ(
      read_plain(parent / "c/manifest.json"),
      "{\n  \"files\": {\n    \"a.txt\": {\n      \"bytes\": 3,\n      \"sha256\": "
      "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"\n    }\n  }\n}\n");
}

TEST(AtomicDirectory, TheManifestSaysWhatWasMeantNotWhatTheDiskGaveBack) {
  const TemporaryDirectory folder;
  AtomicDirectory directory(folder / "target");
  fs::create_directory(directory.path() / "inner");
  write_file_atomic(directory.path() / "a.txt", "what was meant");
  write_file_atomic(directory.path() / "inner/b.txt", "what was meant too");
  write_file_atomic(directory.path() / "twice.txt", "first");
  write_file_atomic(directory.path() / "twice.txt", "then");
  write_plain(directory.path() / "a.txt", "what was menat"); // a disk that changes bytes
  directory.commit();
  EXPECT_NE(error_of_verifying(folder / "target").find("a.txt"), std::string::npos);
  write_plain(folder / "target/a.txt", "what was meant");
  EXPECT_EQ(error_of_verifying(folder / "target"), "");
}

TEST(AtomicDirectory, WithoutCommitNothingStays) {
  const TemporaryDirectory parent;
  {
    const AtomicDirectory directory(parent / "c");
    write_plain(directory.path() / "a.txt", "content");
  }
  EXPECT_TRUE(names_in(parent.path()).empty());
}

TEST(AtomicDirectory, ReplacesAnOldOneWhole) {
  const TemporaryDirectory parent;
  {
    AtomicDirectory directory(parent / "c");
    write_plain(directory.path() / "old.txt", "old");
    directory.commit();
  }
  write_directory(parent / "c/", "new");
  EXPECT_EQ(names_in(parent.path()), std::set<std::string>{"c"});
  EXPECT_EQ(names_in(parent / "c"), (std::set<std::string>{"a.txt", "folder", "manifest.json"}));
  verify_manifest(parent / "c");
}

TEST(AtomicDirectory, LeftoversOfTheDeadAreRemovedThoseOfTheLivingStay) {
  const TemporaryDirectory parent;
  fs::create_directories(parent / ".c.tmp-1-0/folder");
  write_plain(parent / ".c.tmp-1-0/folder/x", "left behind");
  fs::create_directories(parent / ".d.tmp-1-0");
  AtomicDirectory living(parent / "c");
  EXPECT_FALSE(fs::exists(parent / ".c.tmp-1-0"));
  EXPECT_TRUE(fs::exists(parent / ".d.tmp-1-0"));
  write_directory(parent / "c", "second");
  write_plain(living.path() / "a.txt", "first");
  living.commit();
  EXPECT_EQ(read_plain(parent / "c/a.txt"), "first");
}

TEST(AtomicDirectory, AnOldTargetThatSteppedAsideIsPutBack) {
  const TemporaryDirectory parent;
  write_directory(parent / ".c.tmp-1-0.old", "old");
  { const AtomicDirectory directory(parent / "c"); }
  EXPECT_EQ(read_plain(parent / "c/a.txt"), "old");
}

TEST(AtomicDirectory, AnAbsentParentIsAnError) {
  const TemporaryDirectory parent;
  EXPECT_THROW(AtomicDirectory directory(parent / "absent/c"), IoError);
}

TEST(AtomicDirectory, AFullDiskIsAnErrorAndTheOldOneStays) {
  const SmallDisk disk;
  const fs::path target = disk.path() / "c";
  const std::vector<std::byte> small(40'000), large(240'000);
  const auto save = [&](const std::vector<std::byte>& bytes) {
    AtomicDirectory directory(target);
    const TensorView tensors[] = {
        {"w", DType::kU8, {static_cast<std::int64_t>(bytes.size())}, bytes}};
    write_safetensors(directory.path() / "model.safetensors", tensors);
    directory.commit();
  };
  save(small);
  std::string error;
  {
    const FileSizeLimit limit(disk.file_size_limit());
    try {
      save(large);
    } catch (const IoError& caught) {
      error = caught.what();
    }
  }
  EXPECT_NE(error.find("model.safetensors: must be writable; got "), std::string::npos) << error;
  if (disk.is_mounted()) {
    EXPECT_NE(error.find("(free some space on the disk)"), std::string::npos) << error;
  }
  EXPECT_EQ(names_in(disk.path()), std::set<std::string>{"c"});
  verify_manifest(target);
  EXPECT_EQ(SafetensorsFile(target / "model.safetensors").at("w").bytes.size(), small.size());
  save(small);
  verify_manifest(target);
}

TEST(AtomicDirectory, AKillAtAnyMomentLeavesAWholeTarget) {
  const TemporaryDirectory parent;
  write_directory(parent / "c", "0");
  Random random(113);
  for (int kill = 0; kill < 60; ++kill) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (int i = 1;; ++i) {
        write_directory(parent / "c", std::string(20'000, static_cast<char>('a' + i % 26)));
      }
    }
    ASSERT_GT(child, 0);
    std::this_thread::sleep_for(std::chrono::microseconds(random.below(20'000)));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ASSERT_EQ(error_of_verifying(parent / "c"), "") << kill;
  }
  write_directory(parent / "c", "last");
  EXPECT_EQ(names_in(parent.path()), std::set<std::string>{"c"});
}

class DamagedDirectory : public testing::Test {
 protected:
  void SetUp() override {
    write_directory(directory_, "content");
  }
  TemporaryDirectory parent_;
  const fs::path directory_ = parent_ / "c";
};

TEST_F(DamagedDirectory, AnyFlippedBitIsFound) {
  for (const char* name : {"a.txt", "folder/b.txt"}) {
    const std::string whole = read_plain(directory_ / name);
    for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
      std::string flipped = whole;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
      write_plain(directory_ / name, flipped);
      const std::string error = error_of_verifying(directory_);
      EXPECT_NE(error.find((directory_ / name).string()), std::string::npos) << error;
      EXPECT_NE(error.find("must have the SHA-256"), std::string::npos) << error;
    }
    write_plain(directory_ / name, whole);
  }
  EXPECT_EQ(error_of_verifying(directory_), "");
}

TEST_F(DamagedDirectory, AFlippedBitInTheManifestIsFound) {
  const std::string whole = read_plain(directory_ / "manifest.json");
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    write_plain(directory_ / "manifest.json", flipped);
    // White space may change; anything else may not.
    if (whole[bit / 8] != ' ' && whole[bit / 8] != '\n') {
      EXPECT_NE(error_of_verifying(directory_), "") << bit;
    }
  }
}

TEST_F(DamagedDirectory, MissingAndCutFilesAreFound) {
  write_plain(directory_ / "folder/b.txt", "cut");
  EXPECT_NE(
      error_of_verifying(directory_).find("b.txt: must have the 14 bytes"), std::string::npos);
  fs::remove(directory_ / "folder/b.txt");
  EXPECT_NE(
      error_of_verifying(directory_).find("b.txt: must be there: the manifest lists it"),
      std::string::npos);
  write_directory(directory_, "content");
  fs::remove(directory_ / "a.txt");
  fs::create_directory(directory_ / "a.txt");
  EXPECT_NE(error_of_verifying(directory_).find("a.txt: must be a plain file"), std::string::npos);
  fs::remove(directory_ / "manifest.json");
  EXPECT_NE(
      error_of_verifying(directory_).find("manifest.json: must be readable"), std::string::npos);
}

TEST_F(DamagedDirectory, FilesThatOthersPutThereDoNotMatter) {
  for (const char* name : {".DS_Store", ".nfs00000000012ab", "notes.txt", ".a.tmp-1-0"}) {
    write_plain(directory_ / name, "");
  }
  fs::create_symlink("nowhere", directory_ / "link");
  EXPECT_EQ(error_of_verifying(directory_), "");
}

TEST_F(DamagedDirectory, AManifestMayNotNameFilesElsewhere) {
  for (const std::string name : {"../x", "/etc/hostname", "folder/../../x", ""}) {
    write_plain(
        directory_ / "manifest.json",
        "{\"files\": {\"" + name + "\": {\"bytes\": 1, \"sha256\": \"\"}}}");
    EXPECT_NE(error_of_verifying(directory_).find("of its own directory"), std::string::npos);
  }
}

/// What `require_replaceable` names as in its way.
std::string in_the_way(const fs::path& directory) {
  try {
    require_replaceable(directory);
  } catch (const IoError& error) {
    return fs::path(error.value()).filename().string();
  }
  return "";
}

TEST(Replacing, TakesNothingThatAnotherMade) {
  const TemporaryDirectory parent;
  EXPECT_EQ(in_the_way(parent / "absent"), "");
  fs::create_directory(parent / "c");
  EXPECT_EQ(in_the_way(parent / "c"), "");
  write_directory(parent / "c", "content");
  write_plain(parent / "c/a.txt", "changed");
  write_plain(parent / "c/.DS_Store", "");
  EXPECT_EQ(in_the_way(parent / "c/"), "");
  fs::create_directory(parent / "c/folder/mine");
  write_plain(parent / "c/folder/mine/letter.txt", "dear");
  EXPECT_EQ(in_the_way(parent / "c"), "letter.txt");
  EXPECT_THROW(write_directory(parent / "c", "new"), IoError);
  EXPECT_EQ(read_plain(parent / "c/folder/mine/letter.txt"), "dear");
  fs::remove(parent / "c/folder/mine/letter.txt");
  fs::remove(parent / "c/manifest.json");
  EXPECT_NE(in_the_way(parent / "c"), "");
  write_plain(parent / "file", "content");
  EXPECT_EQ(in_the_way(parent / "file"), "file");
}

TEST(Replacing, FollowsALink) {
  const TemporaryDirectory parent;
  write_directory(parent / "there", "old");
  fs::create_directory_symlink("there", parent / "link");
  write_directory(parent / "link", "new");
  EXPECT_TRUE(fs::is_symlink(parent / "link"));
  EXPECT_EQ(read_plain(parent / "there/a.txt"), "new");
}

TEST_F(DamagedDirectory, ListedFilesAreCheckedIfWantedAndThere) {
  const auto check = [&](const std::string& wanted) {
    verify_listed_files(directory_, [&](const std::string& name) { return name == wanted; });
  };
  write_plain(directory_ / "added.txt", "not of the writer");
  EXPECT_NO_THROW(check("a.txt"));
  write_plain(directory_ / "a.txt", "Content");
  EXPECT_THROW(check("a.txt"), FormatError);
  EXPECT_NO_THROW(check("another"));
  fs::remove(directory_ / "a.txt");
  EXPECT_NO_THROW(check("a.txt"));
  fs::remove(directory_ / "manifest.json");
  EXPECT_NO_THROW(check("a.txt"));
}

} // namespace
} // namespace fcc
