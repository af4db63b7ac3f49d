#include "fcc/io/files.h"

#include <sys/stat.h>

#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "fcc/core/error.h"
#include "support/full_disk.h"
#include "support/temporary_directory.h"

namespace fcc {
namespace {

TEST(MappedFile, ShowsTheBytes) {
  const TemporaryDirectory directory;
  write_plain(directory / "a", std::string("x\0y", 3));
  const MappedFile file(directory / "a");
  ASSERT_EQ(file.bytes().size(), 3U);
  EXPECT_EQ(file.bytes()[2], std::byte{'y'});
}

TEST(MappedFile, AnEmptyFileHasNoBytes) {
  const TemporaryDirectory directory;
  write_plain(directory / "a", "");
  EXPECT_TRUE(MappedFile(directory / "a").bytes().empty());
}

TEST(MappedFile, AbsentFilesAndDirectoriesAreErrorsWithTheirName) {
  const TemporaryDirectory directory;
  try {
    MappedFile file(directory / "absent");
    FAIL();
  } catch (const IoError& error) {
    EXPECT_EQ(error.where(), (directory / "absent").string());
    EXPECT_EQ(error.value(), "No such file or directory");
  }
  EXPECT_THROW(MappedFile file(directory.path()), IoError);
  EXPECT_THROW(read_file(directory.path()), IoError);
}

TEST(Sha256, MatchesThePublishedVectors) {
  // FIPS 180-2, appendix B.
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const TemporaryDirectory directory;
  write_plain(directory / "million", std::string(1000000, 'a'));
  EXPECT_EQ(
      sha256_hex_of_file(directory / "million"),
      "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(WriteFileAtomic, ReplacesTheContent) {
  const TemporaryDirectory directory;
  write_file_atomic(directory / "a", "old");
  write_file_atomic(directory / "a", "new content");
  EXPECT_EQ(read_file(directory / "a"), "new content");
  EXPECT_EQ(read_plain(directory / "a"), "new content");
}

TEST(WriteFileAtomic, AnAbsentDirectoryIsAnError) {
  const TemporaryDirectory directory;
  EXPECT_THROW(write_file_atomic(directory / "absent/a", "x"), IoError);
}

TEST(RequireWritable, RefusesWhatCannotBeWrittenAndLeavesNothing) {
  const TemporaryDirectory directory;
  write_plain(directory / "old", "content");
  EXPECT_NO_THROW(require_writable(directory / "old"));
  EXPECT_NO_THROW(require_writable(directory / "new"));
  EXPECT_THROW(require_writable(directory.path()), IoError);
  EXPECT_THROW(require_writable(directory / "absent/new"), IoError);
  EXPECT_THROW(require_writable(directory / "old/new"), IoError);
  EXPECT_EQ(read_plain(directory / "old"), "content");
  EXPECT_FALSE(std::filesystem::exists(directory / "new"));
}

TEST(AtomicFile, WithoutCommitTheOldContentStaysAndNothingElse) {
  const TemporaryDirectory directory;
  write_plain(directory / "a", "old");
  {
    AtomicFile file(directory / "a");
    file.write("new");
  }
  EXPECT_EQ(read_plain(directory / "a"), "old");
  EXPECT_FALSE(std::filesystem::exists(directory / ".a.tmp-1"));
  EXPECT_EQ(
      std::distance(
          std::filesystem::directory_iterator(directory.path()),
          std::filesystem::directory_iterator()),
      1);
}

TEST(AtomicFile, RemovesLeftoversOfTheDeadButNotOfTheLiving) {
  const TemporaryDirectory directory;
  write_plain(directory / ".a.tmp-1-0", "left behind");
  write_plain(directory / ".b.tmp-1-0", "another's");
  AtomicFile living(directory / "a");
  EXPECT_FALSE(std::filesystem::exists(directory / ".a.tmp-1-0"));
  EXPECT_TRUE(std::filesystem::exists(directory / ".b.tmp-1-0"));
  living.write("first");
  write_file_atomic(directory / "a", "second");
  living.commit();
  EXPECT_EQ(read_plain(directory / "a"), "first");
}

TEST(WriteFileAtomic, AFailingWriteIsAnErrorAndTheOldContentStays) {
  const TemporaryDirectory directory;
  write_plain(directory / "a", "old");
  std::string error;
  {
    const FileSizeLimit limit(5000);
    try {
      write_file_atomic(directory / "a", std::string(12345, 'x'));
    } catch (const IoError& caught) {
      error = caught.what();
    }
  }
  EXPECT_EQ(error, (directory / "a").string() + ": must be writable; got File too large");
  EXPECT_EQ(read_plain(directory / "a"), "old");
}

TEST(MappedFile, AFifoIsRefusedWithoutWaitingForItsWriter) {
  const TemporaryDirectory directory;
  ASSERT_EQ(::mkfifo((directory / "fifo").c_str(), 0600), 0);
  EXPECT_THROW(MappedFile(directory / "fifo"), IoError);
}

TEST(AtomicFile, FollowsALinkAlsoOneThatLeadsNowhereYet) {
  const TemporaryDirectory directory;
  std::filesystem::create_directory(directory / "elsewhere");
  write_plain(directory / "elsewhere/old", "old");
  std::filesystem::create_symlink("elsewhere/old", directory / "to_old");
  std::filesystem::create_symlink("elsewhere/new", directory / "to_new");
  write_file_atomic(directory / "to_old", "1");
  write_file_atomic(directory / "to_new", "2");
  EXPECT_EQ(read_plain(directory / "elsewhere/old"), "1");
  EXPECT_EQ(read_plain(directory / "elsewhere/new"), "2");
  EXPECT_TRUE(std::filesystem::is_symlink(directory / "to_old"));
  EXPECT_TRUE(std::filesystem::is_symlink(directory / "to_new"));
  std::filesystem::create_symlink("ring", directory / "ring");
  EXPECT_THROW(write_file_atomic(directory / "ring", "3"), IoError);
}

TEST(AtomicFile, WritesThroughAFifoWhichStaysOne) {
  const TemporaryDirectory directory;
  const auto fifo = directory / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_NO_THROW(require_writable(fifo));
  std::string got;
  std::thread reader([&] { got = read_plain(fifo); });
  write_file_atomic(fifo, "result");
  reader.join();
  EXPECT_EQ(got, "result");
  EXPECT_TRUE(std::filesystem::is_fifo(fifo));
}

TEST(AtomicFile, WritesThroughADeviceWhichStaysOne) {
  EXPECT_NO_THROW(require_writable("/dev/null"));
  write_file_atomic("/dev/null", "result");
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  EXPECT_THROW(write_file_atomic("/dev/full", "result"), IoError);
}

TEST(AtomicFile, RefusesAHomeDirectoryThatNoShellHasExpanded) {
  EXPECT_THROW(AtomicFile("~/a"), IoError);
  EXPECT_THROW(require_writable("~/a"), IoError);
}

TEST(IsSamePath, GoesByThePlaceNotByTheSpelling) {
  const TemporaryDirectory directory;
  std::filesystem::create_directory(directory / "folder");
  std::filesystem::create_symlink("folder", directory / "link");
  write_plain(directory / "folder/there", "x");
  std::filesystem::create_hard_link(directory / "folder/there", directory / "second_name");
  EXPECT_TRUE(is_same_path(directory / "folder/there", directory / "link/../folder/./there"));
  EXPECT_TRUE(is_same_path(directory / "folder/there", directory / "second_name"));
  EXPECT_TRUE(is_same_path(directory / "folder/new", directory / "link/new"));
  EXPECT_TRUE(is_same_path("new", "./new"));
  EXPECT_FALSE(is_same_path(directory / "folder/new", directory / "folder/there"));
  EXPECT_FALSE(is_same_path("new", "newer"));
}

} // namespace
} // namespace fcc
