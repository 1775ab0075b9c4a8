#include "nn/curves.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>

namespace lgms::nn {
namespace {

constexpr double kWidth = 640, kHeight = 400, kLeft = 60, kRight = 20, kTop = 40, kBottom = 50;
constexpr std::array kColours{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#000000"};  // Okabe and Ito 2008

// printf with a fixed format and doubles, as a string.
template <class... Args>
std::string format(const char* pattern, Args... args) {
  char line[256];
  std::snprintf(line, sizeof line, pattern, args...);
  return line;
}

std::string escaped(const std::string& plain) {
  std::string out;
  for (char c : plain) out += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : std::string(1, c);
  return out;
}

struct Axis {
  double low = std::numeric_limits<double>::infinity(), high = -low, step = 1;
  double from, to;  // pixels

  void include(double v) {
    low = std::min(low, v);
    high = std::max(high, v);
  }
  // Ticks at multiples of 1, 2 or 5 times a power of ten, about `ticks` of them; whole: no smaller than one.
  void settle(int ticks, bool whole, bool widen) {
    if (!(low <= high)) low = 0, high = 1;
    if (high - low < 1e-9 * std::max(1.0, std::abs(high))) low -= 0.5, high += 0.5;
    const double rough = (high - low) / ticks, power = std::pow(10, std::floor(std::log10(rough)));
    step = rough <= power ? power : rough <= 2 * power ? 2 * power : rough <= 5 * power ? 5 * power : 10 * power;
    if (whole) step = std::max(step, 1.0);
    if (widen) low = std::floor(low / step + 1e-9) * step, high = std::ceil(high / step - 1e-9) * step;
  }
  double at(double v) const { return from + (v - low) / (high - low) * (to - from); }
  std::vector<double> ticks() const {
    std::vector<double> values;
    for (auto i = static_cast<int64_t>(std::ceil(low / step - 1e-9));
         static_cast<double>(i) * step <= high + 1e-9 * step; ++i)
      values.push_back(static_cast<double>(i) * step);
    return values;
  }
};

std::string grid(const Axis& x, const Axis& y) {
  std::string out;
  for (double v : y.ticks())
    out += format("<line x1='%.1f' x2='%.1f' y1='%.1f' y2='%.1f' stroke='#dddddd'/>", x.from, x.to, y.at(v), y.at(v)) +
           format("<text x='%.1f' y='%.1f' text-anchor='end'>%.4g</text>\n", x.from - 8, y.at(v) + 4, v + 0.0);
  for (double v : x.ticks())
    out += format("<line x1='%.1f' x2='%.1f' y1='%.1f' y2='%.1f' stroke='#444444'/>", x.at(v), x.at(v), y.from,
                  y.from + 5) +
           format("<text x='%.1f' y='%.1f' text-anchor='middle'>%.6g</text>\n", x.at(v), y.from + 19, v + 0.0);
  return out + format("<path d='M%.1f %.1fV%.1fH%.1f' fill='none' stroke='#444444'/>\n", x.from, y.to, y.from, x.to);
}

std::string curve(const Series& s, const char* colour, const Axis& x, const Axis& y) {
  std::string line, marks;
  bool gap = true;
  for (size_t i = 0; i < s.x.size(); ++i) {
    const bool finite = std::isfinite(s.x[i]) && std::isfinite(s.y[i]);
    if (finite) {
      const double px = x.at(s.x[i]), py = y.at(s.y[i]);
      line += format("%s%.1f %.1f", gap ? "M" : "L", px, py);
      if (s.x.size() <= 60) marks += format("<circle cx='%.1f' cy='%.1f' r='2.5'/>", px, py);
    }
    gap = !finite;
  }
  return "<path d='" + line + "' fill='none' stroke='" + colour +
         "' stroke-width='2' stroke-linejoin='round'/>\n<g fill='" + colour + "'>" + marks + "</g>\n";
}

}  // namespace

std::string svg(const Chart& chart) {
  Axis x{.from = kLeft, .to = kWidth - kRight}, y{.from = kHeight - kBottom, .to = kTop};
  for (const Series& s : chart.series)
    for (size_t i = 0; i < s.x.size(); ++i)
      if (std::isfinite(s.x[i]) && std::isfinite(s.y[i])) {
        x.include(s.x[i]);
        y.include(s.y[i]);
      }
  x.settle(8, true, false);
  y.settle(6, false, true);
  std::string out = format(
                        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %g %g' width='%g' height='%g' "
                        "font-family='sans-serif' font-size='12' fill='#222222'>\n",
                        kWidth, kHeight, kWidth, kHeight) +
                    "<rect width='100%' height='100%' fill='white'/>\n" + grid(x, y);
  out += format("<text x='%.1f' y='24' font-size='15' font-weight='bold'>", kLeft) + escaped(chart.title) + "</text>\n";
  out += format("<text x='%.1f' y='%.1f' text-anchor='middle'>", (x.from + x.to) / 2, kHeight - 10) +
         escaped(chart.x_label) + "</text>\n";
  double right = kWidth - kRight;  // the legend stands in the line of the title, its last name rightmost
  for (size_t i = chart.series.size(); i-- > 0;) {
    const char* colour = kColours[i % kColours.size()];
    const Series& s = chart.series[i];
    out += curve(s, colour, x, y);
    out += format("<text x='%.1f' y='24' text-anchor='end'>", right) + escaped(s.name) + "</text>\n";
    right -= 7.0 * static_cast<double>(s.name.size()) + 8;
    out += format("<line x1='%.1f' x2='%.1f' y1='20' y2='20' stroke='", right - 22, right) + colour +
           "' stroke-width='3'/>\n";
    right -= 40;
  }
  return out + "</svg>\n";
}

}  // namespace lgms::nn
