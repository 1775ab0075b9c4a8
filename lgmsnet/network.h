#pragma once
// LGMSNet (arXiv 2508.15476): the only description of the network. Everything that needs the topology (training, shapes
// and parameter names, counts of operations) is a builder B that forward() is run with.
//
// B has a type Value and these methods, where NAME is the checkpoint's name of the layer:
//   convolution(NAME, x, cout, k, groups, bias)     "same" zero padding, stride 1
//   depthwise(NAME, x, k)                           without bias
//   multiscale_depthwise(NAME, x)                   concat(dw3, dw5, dw7, dw9 of the channel quarters) + x
//   norm(NAME, x, Epilogue<Value>)                  2D: batch norm; 3D: instance norm without parameters
//   batch_norm, group_norm(NAME, x, groups, ...), layer_norm(NAME, x)
//   linear(NAME, x, out, bias), attention(x, heads), activation(x, kind)
//   add, concat({a, b}), split(x, first, count), upsample(x), max_pool(x)
//   channels(x), stage(NAME, x): marks the output of a top-level module
//   recomputable(x, f), recomputable(x, y, f): f(b, x) or f(b, x, y), which may be called once more when all of this
//     is gone.
// A norm takes the activation before it (`before`), the one after it (`after`) and a residual added last along, because
// they are one pass over memory.
// Upstream: cq-dong/LGMSNet network/CMUNeXt_new.py (MKtinyvit4_CT), network/Mobilevit.py; 3D network_3d/*.
#include <string>
#include <utility>

#include "kernels/epilogue.h"
#include "lgmsnet/config.h"

namespace lgms {

using kernels::Activation;
using kernels::Epilogue;

// conv -> norm -> activation (CMUNeXt_new.py conv_block; Mobilevit.py conv_1x1_bn, conv_nxn_bn).
template <class B>
typename B::Value conv_norm(B& b, const std::string& convolution, const std::string& norm, typename B::Value x,
                            int64_t cout, int64_t k, bool bias, Activation after, typename B::Value residual = {}) {
  x = b.convolution(convolution, x, cout, k, 1, bias);
  return b.norm(norm, std::move(x), {.after = after, .residual = residual});
}

// conv1_silu and conv3_silu of the spec: no bias.
template <class B>
typename B::Value conv_silu(B& b, const std::string& name, typename B::Value x, int64_t cout, int64_t k,
                            typename B::Value residual = {}) {
  return conv_norm(b, name + ".0", name + ".1", std::move(x), cout, k, false, Activation::silu, residual);
}

// Upsampled by two, then conv3 with bias (CMUNeXt_new.py up_conv).
template <class B>
typename B::Value up(B& b, const std::string& name, typename B::Value x, int64_t cout) {
  return conv_norm(b, name + ".up.1", name + ".up.2", b.upsample(x), cout, 3, true, Activation::relu);
}

// Inverted bottleneck behind a skip connection; each norm comes after its GELU (CMUNeXt_new.py fusion_conv).
template <class B>
typename B::Value fuse(B& b, const std::string& name, typename B::Value x, int64_t cout) {
  const Epilogue<typename B::Value> gelu{.before = Activation::gelu};
  x = b.convolution(name + ".conv.0", x, b.channels(x), 3, 2, true);
  x = b.norm(name + ".conv.2", std::move(x), gelu);
  x = b.convolution(name + ".conv.3", x, 4 * cout, 1, 1, true);
  x = b.norm(name + ".conv.5", std::move(x), gelu);
  x = b.convolution(name + ".conv.6", x, cout, 1, 1, true);
  return b.norm(name + ".conv.8", std::move(x), gelu);
}

// Local multi-scale block (CMUNeXt_new.py CMUNeXtBlock_MK_resiual2).
template <class B>
typename B::Value lms(B& b, const std::string& name, typename B::Value x) {
  const int64_t c = b.channels(x);
  auto t = b.multiscale_depthwise(name, x);  // m + x
  t = b.group_norm(name + ".norm_act.0", std::move(t), 4, {.after = Activation::gelu});
  t = conv_silu(b, name + ".conv_1x1_bn", t, c / 4, 1);
  return conv_silu(b, name + ".conv_nxn_bn", t, c, 3, x);  // + x
}

// One transformer layer over the pixels; attention inside each interleaved sub-grid (Mobilevit.py Transformer).
template <class B>
typename B::Value sparse_transformer(B& b, const std::string& name, typename B::Value t, int64_t mlp_dim) {
  const int64_t width = b.channels(t);
  const std::string attention = name + ".layers.0.0", feed_forward = name + ".layers.0.1.net";
  auto u = b.layer_norm(attention + ".norm", t);
  u = b.attention(b.linear(attention + ".to_qkv", u, 3 * Config::kInner, false), Config::kHeads);
  t = b.add(t, b.linear(attention + ".to_out.0", u, width, true));
  u = b.layer_norm(feed_forward + ".0", t);
  u = b.activation(b.linear(feed_forward + ".1", u, mlp_dim, true), Activation::silu);
  return b.add(t, b.linear(feed_forward + ".4", u, width, true));
}

// Depthwise convolutions of the other channels (Mobilevit.py DWConv2d_BN_ReLU).
template <class B>
typename B::Value split_conv(B& b, const std::string& name, typename B::Value q) {
  const bool volume = b.rank() == 3;
  auto t = b.depthwise(name + (volume ? ".dwconv3x3x3" : ".dwconv3x3"), q, 3);
  t = b.batch_norm(name + ".bn1", std::move(t), {.after = Activation::relu});
  t = b.depthwise(name + (volume ? ".dwconv1x1x1" : ".dwconv1x1"), t, 1);
  return b.batch_norm(name + ".bn2", std::move(t), {});
}

// Global multi-scale block (Mobilevit.py MobileViTBlocktem_CT).
template <class B>
typename B::Value gms(B& b, const std::string& name, typename B::Value y, Split split) {
  const int64_t width = split.width();
  auto x = conv_silu(b, name + ".conv1", y, width, 3);
  x = conv_silu(b, name + ".conv2", x, width, 1);
  auto p = b.split(x, 0, split.attention);
  auto q = b.split(x, split.attention, split.convolution);
  q = b.add(q, split_conv(b, name + ".conv_spilt", q));
  p = sparse_transformer(b, name + ".transformer", p, 2 * width);
  x = conv_silu(b, name + ".conv3", b.concat({p, q}), width, 1);
  return conv_silu(b, name + ".conv4", b.concat({x, y}), width, 3);
}

// depth LMS blocks, then conv1_silu to the stage's width (MKtinyvit4_CT encoder1..3).
template <class B>
typename B::Value encoder(B& b, const std::string& name, typename B::Value x, int64_t depth, int64_t cout) {
  for (int64_t i = 0; i < depth; ++i) x = lms(b, name + "." + std::to_string(i), x);
  return b.stage(name, conv_silu(b, name + "." + std::to_string(depth), std::move(x), cout, 1));
}

// The concatenation of a skip connection and what comes from below, neither of which is needed any longer.
template <class B>
typename B::Value join(B& b, typename B::Value skip, typename B::Value below) {
  return b.concat({skip, below});
}

// x: [N, D, H, W, in_channels], sides multiples of 32 -> logits [N, D, H, W, classes]. Large values are moved to where
// they are used last, so that their memory is free for what follows.
template <class B>
typename B::Value forward(B& builder, const Config& config, typename B::Value x) {
  using V = typename B::Value;
  const int64_t c1 = config.dims[0], c2 = config.dims[1], c3 = config.dims[2], c4 = config.dims[3];
  const auto& [enc4, enc5, dec5, dec4] = config.splits;
  const auto& depths = config.depths;

  V s1 = builder.recomputable(std::move(x), [c1, depth = depths[0]](B& b, V v) {
    v = b.stage("stem", conv_norm(b, "stem.conv.0", "stem.conv.1", std::move(v), c1, 3, true, Activation::relu));
    return encoder(b, "encoder1", std::move(v), depth, c1);
  });
  V s2 = builder.recomputable(
      s1, [c2, depth = depths[1]](B& b, V v) { return encoder(b, "encoder2", b.max_pool(v), depth, c2); });
  V s3 = builder.recomputable(
      s2, [c3, depth = depths[2]](B& b, V v) { return encoder(b, "encoder3", b.max_pool(v), depth, c3); });
  V s4 = builder.recomputable(
      s3, [split = enc4](B& b, V v) { return b.stage("encoder4", gms(b, "encoder4.0", b.max_pool(v), split)); });
  V d = builder.recomputable(
      s4, [split = enc5](B& b, V v) { return b.stage("encoder5", gms(b, "encoder5.0", b.max_pool(v), split)); });

  d = builder.recomputable(std::move(d), [c4](B& b, V v) { return b.stage("Up5", up(b, "Up5", v, c4)); });
  d = builder.recomputable(std::move(s4), std::move(d), [split = dec5](B& b, V skip, V v) {
    return b.stage("Up_conv5", gms(b, "Up_conv5", join(b, std::move(skip), std::move(v)), split));
  });
  d = builder.recomputable(std::move(d), [c3](B& b, V v) { return b.stage("Up4", up(b, "Up4", v, c3)); });
  d = builder.recomputable(std::move(s3), std::move(d), [c3, split = dec4](B& b, V skip, V v) {
    v = fuse(b, "Up_conv4.0", join(b, std::move(skip), std::move(v)), c3);
    return b.stage("Up_conv4", gms(b, "Up_conv4.1", std::move(v), split));
  });
  d = builder.recomputable(std::move(d), [c2](B& b, V v) { return b.stage("Up3", up(b, "Up3", v, c2)); });
  d = builder.recomputable(std::move(s2), std::move(d), [c2](B& b, V skip, V v) {
    return b.stage("Up_conv3", fuse(b, "Up_conv3", join(b, std::move(skip), std::move(v)), c2));
  });
  d = builder.recomputable(std::move(d), [c1](B& b, V v) { return b.stage("Up2", up(b, "Up2", v, c1)); });
  d = builder.recomputable(std::move(s1), std::move(d), [c1](B& b, V skip, V v) {
    return b.stage("Up_conv2", fuse(b, "Up_conv2", join(b, std::move(skip), std::move(v)), c1));
  });
  return builder.stage("Conv_1x1", builder.convolution("Conv_1x1", d, config.classes, 1, 1, true));
}

}  // namespace lgms
