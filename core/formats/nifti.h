#pragma once
// Volumes: NIfTI-1 files, .nii and .nii.gz, told by their contents. Written from the format's definition, nifti1.h.
#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/allocator.h"
#include "core/geometry.h"
#include "core/tensor.h"

namespace lgms::io {

// What a header says, and its 348 bytes as they were (in the machine's byte order), so that a mask can be written with
// the same geometry, codes and units, bit for bit.
struct NiftiHeader {
  Size3 size;  // D, H, W
  // Of the sform where its code is > 0, else the qform, else the spacings alone (nifti1.h's methods 3, 2, 1; method 1
  // says nothing about left and right, nibabel takes the first axis for left there). In mm, whatever xyzt_units says.
  // An sform whose axes are not independent is passed over for a good qform, with a note to the context's log.
  Affine affine;
  int16_t type;             // NIfTI's code of the stored type
  double slope, intercept;  // value = slope * stored + intercept; 1, 0 where scl_slope is 0 or not finite
  std::array<uint8_t, 348> bytes;
};

struct Volume {
  NiftiHeader header;
  Tensor voxels;  // f32 [D, H, W, 1], scaled
};

// The header alone; cheap: only the file's beginning is read. Throws as read_nifti does, but for the voxels.
NiftiHeader read_nifti_header(const std::filesystem::path& path);
// Throws Error{data} naming the file on anything but a whole, plain NIfTI-1 volume (3D, or more dimensions of extent 1)
// of an integer or float type; where the affine's axes are not independent; where a value is not a number, or not one
// that float holds; on sizes that are not the file's, before memory is taken (a .nii.gz that claims more than 1032
// times its own bytes), or whose voxels are beyond `most` bytes of memory. What stands behind the last voxel, or behind
// the last gzip member, is ignored with a note to the context's log; checksums are compared all the same, so more than
// 256 MB of compressed data behind the voxels are refused. The file is read and inflated piece by piece: besides the
// voxels, a few hundred KB of memory.
Volume read_nifti(const std::filesystem::path& path, uint64_t most = machine_memory());
Volume decode_nifti(std::span<const uint8_t> bytes, const std::string& name, uint64_t most = machine_memory());

// Integer labels u8 [D, H, W, 1] with the geometry of `like`: dims, pixdim, qform, sform, codes and units bit for bit;
// no scaling; names of the labels 0, 1, ... in a header extension, if there are any. Compressed where the name ends in
// .gz. The file appears when it is complete. Throws Error{output} as OutputFile does, Error{usage} where sizes differ.
void write_nifti_labels(const std::filesystem::path& path, const TensorView& labels, const NiftiHeader& like,
                        std::span<const std::string> names = {});
// The same for f32 values [D, H, W, 1]: probabilities, and test volumes.
void write_nifti(const std::filesystem::path& path, const TensorView& values, const NiftiHeader& like);
// A header for a volume that comes from nowhere: sform code 1, mm.
NiftiHeader make_nifti_header(const Size3& size, const Affine& affine);

// "a/b/case.nii.gz" -> "case": the name without .nii or .nii.gz, of any upper and lower case, which is_nifti_name
// tells.
std::string nifti_stem(const std::filesystem::path& path);
bool is_nifti_name(const std::filesystem::path& path);

// Finds volumes by their stems. Each folder is listed once, when it is first asked for.
class NiftiFolders {
 public:
  // folder/STEM.nii.gz or folder/STEM.nii, of any upper and lower case; empty where there is none. Throws Error{data}
  // naming both where there are two, and where a folder is there and cannot be read.
  std::filesystem::path find(const std::filesystem::path& folder, const std::string& stem);

 private:
  std::map<std::filesystem::path, std::map<std::string, std::vector<std::filesystem::path>>> folders_;
};

}  // namespace lgms::io
