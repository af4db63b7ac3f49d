#include "fcc/io/atomic_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <system_error>
#include <utility>
#include <vector>

#include "fcc/core/error.h"
#include "fcc/core/json.h"
#include "fcc/io/files.h"
#include "io/meant_files.h"
#include "io/posix.h"

namespace fcc {
namespace fs = std::filesystem;
namespace {

constexpr const char* kManifest = "manifest.json";
constexpr const char* kOldSuffix = ".old"; ///< an old target that stepped aside

/// The files below `directory` by their relative names, and its folders, sorted.
struct Listing {
  std::vector<std::string> files;
  std::vector<fs::path> folders;
};

Listing list_files(const fs::path& directory) {
  Listing listing;
  try {
    for (const auto& entry : fs::recursive_directory_iterator(directory)) {
      if (is_temporary_name(entry.path().filename().string())) {
        continue; // of a writer that failed: no part of what is sealed
      }
      if (entry.is_symlink() || !(entry.is_regular_file() || entry.is_directory())) {
        throw FormatError(entry.path().string(), "must be a plain file or a folder");
      }
      if (entry.is_directory()) {
        listing.folders.push_back(entry.path());
      } else if (entry.path() != directory / kManifest) {
        listing.files.push_back(entry.path().lexically_relative(directory).generic_string());
      }
    }
  } catch (const fs::filesystem_error& error) {
    throw IoError(directory.string(), "must be readable", error.code().message());
  }
  std::sort(listing.files.begin(), listing.files.end());
  return listing;
}

std::int64_t size_of(const fs::path& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  if (error) {
    throw IoError(path.string(), "must be readable", error.message());
  }
  return static_cast<std::int64_t>(size);
}

/// Says of each file what was meant; a file that came by another way than `AtomicFile` is read.
std::string manifest_text(
    const fs::path& directory,
    const std::vector<std::string>& files,
    const MeantFiles& meant) {
  JsonValue::Object entries;
  for (const std::string& name : files) {
    const auto found = meant.find(name);
    const MeantFile file =
        found != meant.end()
            ? found->second
            : MeantFile{size_of(directory / name), sha256_hex_of_file(directory / name)};
    JsonValue::Object entry;
    entry.emplace_back("bytes", JsonValue(file.bytes));
    entry.emplace_back("sha256", JsonValue(file.sha256));
    entries.emplace_back(name, JsonValue(std::move(entry)));
  }
  JsonValue::Object root;
  root.emplace_back("files", JsonValue(std::move(entries)));
  return json_text(JsonValue(std::move(root))) + "\n";
}

/// A name of the manifest must stay in the directory, or the manifest could have any file read.
void check_name(const std::string& name, const fs::path& manifest) {
  const fs::path path(name);
  const bool stays = !path.empty() && path.is_relative() &&
                     std::none_of(path.begin(), path.end(), [](const fs::path& part) {
                       return part == ".." || part == "." || part.empty();
                     });
  if (!stays) {
    throw FormatError(manifest.string(), "must name files of its own directory", name);
  }
}

/// What the manifest says of each file.
std::map<std::string, std::pair<std::int64_t, std::string>> read_manifest(const fs::path& path) {
  const JsonValue root = parse_json_without_duplicates(read_file(path), path.string());
  const JsonValue* const files = root.find("files");
  const auto* const entries = files == nullptr ? nullptr : files->as<JsonValue::Object>();
  if (entries == nullptr) {
    throw FormatError(path.string(), "must be an object with an object `files`");
  }
  std::map<std::string, std::pair<std::int64_t, std::string>> manifest;
  for (const JsonMember& member : *entries) {
    const JsonValue* const bytes = member.value.find("bytes");
    const JsonValue* const hash = member.value.find("sha256");
    const auto* const size = bytes == nullptr ? nullptr : bytes->as<std::int64_t>();
    const auto* const text = hash == nullptr ? nullptr : hash->as<std::string>();
    if (size == nullptr || text == nullptr) {
      throw FormatError(
          path.string() + ": `" + member.key + "`",
          "must have whole-number `bytes` and string `sha256`");
    }
    check_name(member.key, path);
    manifest.emplace(member.key, std::pair(*size, *text));
  }
  return manifest;
}

/// What desktops and file systems put anywhere; ours to pass over and to remove.
bool is_left_about(const std::string& name) {
  return name == ".DS_Store" || name == "Thumbs.db" || name == "desktop.ini" ||
         name == ".directory" || name.starts_with(".nfs") || name.starts_with("._") ||
         name.starts_with(".fuse_hidden") || is_temporary_name(name);
}

/// Puts back an old target whose writer was killed between the two renames of
/// `replace_by_renaming`.
void put_back_old(const fs::path& target) {
  std::error_code ignored; // an unreadable parent shows itself when the temporary is made
  if (fs::exists(target, ignored)) {
    return;
  }
  for (const auto& entry : fs::directory_iterator(parent_of(target), ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(leftover_prefix(target)) && name.ends_with(kOldSuffix)) {
      fs::rename(entry.path(), target, ignored);
      return;
    }
  }
}

/// One file against what the manifest says of it.
void verify_file(
    const fs::path& path,
    const std::pair<std::int64_t, std::string>& entry,
    const std::string& hint) {
  const auto& [bytes, hash] = entry;
  if (size_of(path) != bytes) {
    throw FormatError(
        path.string(),
        "must have the " + std::to_string(bytes) + " bytes that the manifest says",
        std::to_string(size_of(path)),
        hint);
  }
  const std::string actual = sha256_hex_of_file(path);
  if (actual != hash) {
    throw FormatError(
        path.string(), "must have the SHA-256 that the manifest says, " + hash, actual, hint);
  }
}

constexpr const char* kDamaged = "the file was changed or damaged after it was written";

} // namespace

AtomicDirectory::AtomicDirectory(fs::path target) : target_(followed(target)) {
  put_back_old(target_);
  require_replaceable(target_);
  remove_leftovers(target_);
  for (int attempt = 0; lock_ < 0; ++attempt) {
    if (attempt == kMaxTemporaries) {
      refuse_taken_temporaries(target_);
    }
    temporary_ = temporary_name(target_);
    if (::mkdir(temporary_.c_str(), 0777) != 0) {
      if (errno == EEXIST) {
        continue;
      }
      throw_io_error(target_, "must be writable");
    }
    Descriptor descriptor(::open(temporary_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (descriptor.get() < 0 && errno != ENOENT) {
      throw_io_error(temporary_, "must be readable");
    }
    if (descriptor.get() >= 0 && lock_temporary(descriptor.get(), temporary_)) {
      lock_ = descriptor.release();
    }
  }
  begin_noting(temporary_);
}

AtomicDirectory::~AtomicDirectory() {
  if (lock_ >= 0) {
    end_noting(temporary_);
    std::error_code ignored; // a destructor has nobody to tell; the next writer tries again
    fs::remove_all(temporary_, ignored);
    ::close(lock_);
  }
}

void AtomicDirectory::commit() {
  check(lock_ >= 0, "AtomicDirectory::commit", "must be called once");
  // Bytes first, names after: whoever finds the target finds everything in it.
  const Listing listing = list_files(temporary_);
  for (const std::string& name : listing.files) {
    sync_path(temporary_ / name);
  }
  write_file_atomic(
      temporary_ / kManifest, manifest_text(temporary_, listing.files, end_noting(temporary_)));
  for (const fs::path& folder : listing.folders) {
    sync_path(folder);
  }
  sync_path(temporary_);

  if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, target_.c_str(), RENAME_EXCHANGE) == 0) {
    // The two have changed names in one step: the old content is now the temporary.
    sync_path(parent_of(target_));
    std::error_code ignored; // the new one is in place: a leftover goes with the next writer
    fs::remove_all(temporary_, ignored);
  } else {
    replace_by_renaming(fs::exists(fs::symlink_status(target_)));
  }
  ::close(lock_);
  lock_ = -1;
}

void AtomicDirectory::replace_by_renaming(bool has_old) {
  // Without exchange the old one steps aside first; it is put back if the new one cannot take its
  // place, or by the next writer if this one is killed in between.
  const fs::path old = fs::path(temporary_) += kOldSuffix;
  if (has_old && ::rename(target_.c_str(), old.c_str()) != 0) {
    throw_io_error(target_, "must be replaceable");
  }
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) {
    const int reason = errno;
    if (has_old) {
      ::rename(old.c_str(), target_.c_str());
    }
    errno = reason;
    throw_io_error(target_, "must be replaceable");
  }
  sync_path(parent_of(target_));
  if (has_old) {
    std::error_code ignored; // as above
    fs::remove_all(old, ignored);
  }
}

void require_replaceable(const fs::path& directory) {
  const fs::path target = followed(directory);
  std::error_code error;
  const fs::file_status status = fs::status(target, error);
  if (!fs::exists(status)) {
    return;
  }
  const auto refuse = [&](const fs::path& what) {
    throw IoError(
        target.string(),
        "may be replaced only if it holds nothing but what an earlier writing put there",
        what.string(),
        "move it away, or write to another place");
  };
  if (!fs::is_directory(status)) {
    refuse(target);
  }
  std::map<std::string, std::pair<std::int64_t, std::string>> manifest;
  bool has_read = false;
  try {
    for (auto entry = fs::recursive_directory_iterator(target); entry != fs::end(entry); ++entry) {
      if (is_left_about(entry->path().filename().string()) || entry->path() == target / kManifest) {
        continue;
      }
      if (entry->is_directory() && !entry->is_symlink()) {
        continue; // what it holds decides
      }
      if (!std::exchange(has_read, true) && fs::exists(target / kManifest)) {
        manifest = read_manifest(target / kManifest);
      }
      if (!manifest.contains(entry->path().lexically_relative(target).generic_string())) {
        refuse(entry->path());
      }
    }
  } catch (const fs::filesystem_error& failure) {
    throw IoError(target.string(), "must be readable", failure.code().message());
  } catch (const FormatError&) {
    refuse(target / kManifest);
  }
}

void verify_manifest(const fs::path& directory) {
  for (const auto& [name, entry] : read_manifest(directory / kManifest)) {
    std::error_code error;
    const fs::file_status status = fs::status(directory / name, error);
    if (status.type() == fs::file_type::not_found) {
      throw FormatError((directory / name).string(), "must be there: the manifest lists it");
    }
    if (!error && !fs::is_regular_file(status)) {
      throw FormatError((directory / name).string(), "must be a plain file");
    }
    verify_file(directory / name, entry, kDamaged);
  }
}

void verify_listed_files(
    const fs::path& directory,
    const std::function<bool(const std::string&)>& wanted) {
  const fs::path manifest = directory / kManifest;
  std::error_code ignored; // what cannot be looked at cannot be read either
  if (!fs::exists(manifest, ignored)) {
    return;
  }
  for (const auto& [name, entry] : read_manifest(manifest)) {
    const bool plain = name.find('/') == std::string::npos;
    if (plain && wanted(name) && fs::exists(directory / name, ignored)) {
      verify_file(
          directory / name,
          entry,
          std::string(kDamaged) + "; if it was changed on purpose, remove manifest.json");
    }
  }
}

} // namespace fcc
