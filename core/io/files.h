#pragma once
// What lies on the disk, looked at without surprises: every question that the project asks of a path is asked here.
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace lgms::io {

// The kind of an error whose reason the system gave (errno): `kind`, but Error{device} where memory was what it lacked.
ErrorKind kind_for(int reason, ErrorKind kind);

enum class Found { nothing, file, folder, other };  // other: a device, a pipe, a socket

// Follows links; one that leads nowhere is nothing. Throws Error{kind} naming the path and the reason where the system
// does not say (no permission, a loop of links, a name too long).
Found look_at(const std::filesystem::path& path, ErrorKind kind = ErrorKind::data);
bool is_file(const std::filesystem::path& path, ErrorKind kind = ErrorKind::data);
bool is_folder(const std::filesystem::path& path, ErrorKind kind = ErrorKind::data);

using Accepts = std::function<bool(const std::filesystem::path&)>;
// Everything in a folder that `accepts` takes by its name, sorted: files, folders, hidden ones, and what cannot be
// looked at. Throws Error{data} where the folder cannot be read.
std::vector<std::filesystem::path> entries_in(const std::filesystem::path& folder, const Accepts& accepts);
// Of these what may be an input: everything but folders, also what cannot be read (links that lead nowhere), so that
// whoever reads it says so. Hidden files (".x", as the "._x" that macOS leaves) are passed over.
std::vector<std::filesystem::path> files_in(const std::filesystem::path& folder, const Accepts& accepts);

// Whether the file that is open has this name: it may have been renamed or removed since. A link has a name of its own.
bool is_named(int descriptor, const std::filesystem::path& path);

// The ending of a name, ".png", in lower case; empty where it has none.
std::string lower_extension(const std::filesystem::path& path);
// Letters A to Z as a to z; all other bytes as they are.
std::string lower(std::string_view text);

// A file's name, without folder, for something that a list calls `stem`: "a/b" -> "a_b", "../x" -> "__x". Names that
// are fine stay as they are; ones too long for the file system are cut, and a hash of the whole makes up for it.
// extension: what will follow, ".png".
std::string file_name_of(std::string_view stem, std::string_view extension);

// Throws Error{kind} where a path holds a NUL, at which the system would cut it short.
void expect_no_nul(const std::filesystem::path& path, ErrorKind kind);

// 64-bit FNV-1a as 16 hexadecimal digits: tells texts apart, guards against nothing.
std::string hash_of(std::string_view text);

}  // namespace lgms::io
