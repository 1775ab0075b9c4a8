#pragma once
// Line charts as SVG: how a run went, for any browser.
#include <string>
#include <vector>

namespace lgms::nn {

struct Series {
  std::string name;
  std::vector<double> x, y;  // of one length; points that are not finite are left out
};

struct Chart {
  std::string title, x_label;
  std::vector<Series> series;  // at most six
};

// A complete SVG document, 640 x 400: axes with round ticks, grid lines, a legend. Up to 60 points are marked.
std::string svg(const Chart& chart);

}  // namespace lgms::nn
