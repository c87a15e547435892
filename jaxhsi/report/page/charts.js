/* Line charts in SVG, with axes, units and a cursor that reads values. */
const SYMLOG_LIMIT = 100;  // about where a symmetric logarithmic scale turns from linear to logarithmic

function niceTicks(low, high, count = 5) {
  if (!(high > low)) return [low];
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough * 0.999);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}

function extent(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) if (value !== null && Number.isFinite(value)) { low = Math.min(low, value); high = Math.max(high, value); }
  return low <= high ? [low, high] : [0, 1];
}

function tickText(value) {
  const isPlain = value === 0 || (Math.abs(value) < 1e5 && Math.abs(value) >= 1e-3);
  return isPlain ? String(value) : value.toExponential(1).replace(".0e", "e").replace("e+", "e");
}

/* chart: {x: title, y: title, lines: [{name, x, y, colour, width, dash, dots}], bands: [{name, x, low, high, colour}],
   marks: [{x, text}], spans: [{from, to}], scale: "log" or "symlog", integerX, integerY, height, reversed,
   leastRange: of the vertical axis, over its largest value} */
function drawChart(svg, chart) {
  // Drawn at the size at which it is shown, so that text keeps its size.
  const width = Math.max(240, svg.clientWidth || 640), height = chart.height || 300;
  const marks = chart.marks || [], markRows = Math.max(0, ...marks.map((mark) => 1 + (mark.row || 0)));
  const margin = { left: 62, right: 14, top: 14 + 13 * markRows, bottom: 44 };  // texts of marks are above the lines
  const lines = chart.lines || [], bands = chart.bands || [], spans = chart.spans || [];
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", chart.label || `${chart.y} against ${chart.x}`);
  let [left, right] = extent([...lines.flatMap((l) => [...l.x]), ...bands.flatMap((b) => [...b.x]), ...spans.flatMap((s) => [s.from, s.to])]);
  if (left === right) { left -= 1; right += 1; }
  const usable = (value) => chart.scale !== "log" || value > 0;
  const scaled = { log: Math.log10, symlog: (value) => Math.asinh(value / SYMLOG_LIMIT) }[chart.scale] || ((value) => value);
  let [bottom, top] = extent([...lines.flatMap((l) => [...l.y]), ...bands.flatMap((b) => [...b.low, ...b.high])].filter((v) => v !== null && usable(v)));
  [bottom, top] = [scaled(bottom), scaled(top)];
  const missing = (chart.leastRange || 0) * Math.max(Math.abs(bottom), Math.abs(top)) - (top - bottom);
  if (missing > 0) { bottom -= missing / 2; top += missing / 2; }
  const space = (top - bottom || Math.abs(top) || 1) * 0.05;
  bottom -= space; top += space;
  const plotWidth = width - margin.left - margin.right, plotHeight = height - margin.top - margin.bottom;
  const placeX = (value) => margin.left + plotWidth * (chart.reversed ? right - value : value - left) / (right - left);
  const placeY = (value) => margin.top + plotHeight * (top - scaled(value)) / (top - bottom);
  for (const span of spans) {
    const [a, b] = [placeX(span.from), placeX(span.to)].sort((p, q) => p - q);
    svg.append(svgElement("rect", { x: a, y: margin.top, width: b - a, height: plotHeight, fill: "currentColor", "fill-opacity": 0.1 }));
  }
  const yTicks = chart.scale === "log" ? logTicks(bottom, top) : chart.scale === "symlog" ? symlogTicks(bottom, top, scaled) : niceTicks(bottom, top, 5).filter((tick) => !chart.integerY || Number.isInteger(tick));
  for (const tick of yTicks) {
    const y = placeY(tick);
    svg.append(svgElement("line", { class: "gridline", x1: margin.left, x2: width - margin.right, y1: y, y2: y }));
    svg.append(svgElement("text", { x: margin.left - 6, y: y + 4, "text-anchor": "end" }, tickText(tick)));
  }
  const xTicks = niceTicks(left, right, Math.max(3, Math.round(width / 110))).filter((tick) => !chart.integerX || Number.isInteger(tick));
  for (const tick of xTicks) {
    const x = placeX(tick);
    svg.append(svgElement("line", { class: "axis", x1: x, x2: x, y1: height - margin.bottom, y2: height - margin.bottom + 4 }));
    svg.append(svgElement("text", { x, y: height - margin.bottom + 17, "text-anchor": "middle" }, tickText(tick)));
  }
  svg.append(svgElement("path", { class: "axis", d: `M${margin.left} ${margin.top}V${height - margin.bottom}H${width - margin.right}` }));
  svg.append(svgElement("text", { x: margin.left + plotWidth / 2, y: height - 8, "text-anchor": "middle" }, chart.x));
  const middle = margin.top + plotHeight / 2;
  svg.append(svgElement("text", { x: 13, y: middle, "text-anchor": "middle", transform: `rotate(-90 13 ${middle})` }, chart.y));
  for (const band of bands) {
    const upper = [...band.x].map((x, i) => `${placeX(x).toFixed(1)} ${placeY(band.high[i]).toFixed(1)}`);
    const lower = [...band.x].map((x, i) => `${placeX(x).toFixed(1)} ${placeY(band.low[i]).toFixed(1)}`).reverse();
    svg.append(svgElement("path", { d: `M${upper.join("L")}L${lower.join("L")}Z`, fill: band.colour, style: "fill-opacity: var(--shade)" }));
  }
  for (const mark of marks) {
    const x = placeX(mark.x);
    svg.append(svgElement("line", { class: "cursor", x1: x, x2: x, y1: 12, y2: height - margin.bottom }));
    const flip = x > width * 0.7;
    svg.append(svgElement("text", { class: "muted", x: x + (flip ? -4 : 4), y: 21 + 13 * (mark.row || 0), "text-anchor": flip ? "end" : "start" }, mark.text));
  }
  for (const line of lines) {
    let path = "", pen = false;
    for (let i = 0; i < line.x.length; i++) {
      const value = line.y[i];
      if (value === null || !Number.isFinite(value) || !usable(value)) { pen = false; continue; }
      path += `${pen ? "L" : "M"}${placeX(line.x[i]).toFixed(1)} ${placeY(value).toFixed(1)}`;
      pen = true;
      if (line.dots) svg.append(svgElement("circle", { cx: placeX(line.x[i]), cy: placeY(value), r: 3, fill: line.colour || "var(--plot-line)" }));
    }
    // A rim in the colour of text keeps light colours visible on white, and dark ones on black.
    if (line.rim) svg.append(svgElement("path", { d: path, class: "rim", "stroke-width": (line.width || 1.6) + 1.6 }));
    if (!line.dotsOnly) svg.append(svgElement("path", { d: path, fill: "none", stroke: line.colour || "var(--plot-line)", "stroke-width": line.width || 1.6, "stroke-dasharray": line.dash || "none", "stroke-linejoin": "round" }));
  }
  if (!chart.quiet) addCursor(svg, chart, lines, { margin, width, height, placeX });
}

function logTicks(bottom, top) {
  const ticks = [];
  for (let power = Math.floor(bottom); power <= top; power++)
    for (const factor of top - bottom > 2 ? [1] : [1, 2, 5]) {
      const value = Number((factor * 10 ** power).toPrecision(3));
      if (Math.log10(value) >= bottom && Math.log10(value) <= top) ticks.push(value);
    }
  return ticks;
}

/* Zero and powers of ten of both signs, beyond the part of the scale that is linear. */
function symlogTicks(bottom, top, scaled) {
  const ticks = [0];
  for (let power = Math.log10(SYMLOG_LIMIT); power < 15; power += top - bottom > 12 ? 2 : 1) ticks.push(10 ** power, -(10 ** power));
  return ticks.filter((value) => scaled(value) >= bottom && scaled(value) <= top);
}

/* A line under the pointer with the values of all lines there; arrow keys move it where the chart has the focus. */
function addCursor(svg, chart, lines, frame) {
  if (!lines.length) return;
  const { margin, width, height, placeX } = frame;
  const bar = svgElement("line", { class: "cursor", y1: margin.top, y2: height - margin.bottom, visibility: "hidden" });
  const text = svgElement("text", { y: margin.top - 2, visibility: "hidden" });
  svg.append(bar, text);
  const axis = lines[0].x;
  let index = 0;
  function show(nearest) {
    index = Math.max(0, Math.min(axis.length - 1, nearest));
    const x = placeX(axis[index]), flip = x > width / 2;
    for (const [key, value] of [["x1", x], ["x2", x], ["visibility", "visible"]]) bar.setAttribute(key, value);
    const readings = lines.filter((l) => l.name && l.x.length === axis.length).map((l) => `${l.name} ${formatNumber(l.y[index])}`);
    text.textContent = `${formatNumber(axis[index])}: ${readings.join(", ")}`;
    for (const [key, value] of [["x", flip ? x - 5 : x + 5], ["text-anchor", flip ? "end" : "start"], ["visibility", "visible"]]) text.setAttribute(key, value);
  }
  function hide() { bar.setAttribute("visibility", "hidden"); text.setAttribute("visibility", "hidden"); }
  svg.onpointermove = (event) => {
    const box = svg.getBoundingClientRect(), x = (event.clientX - box.left) * width / box.width;
    let nearest = 0;
    for (let i = 1; i < axis.length; i++) if (Math.abs(placeX(axis[i]) - x) < Math.abs(placeX(axis[nearest]) - x)) nearest = i;
    show(nearest);
  };
  svg.onpointerleave = hide;
  svg.onblur = hide;
  svg.setAttribute("tabindex", "0");
  svg.onkeydown = (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key];
    if (move === undefined) return;
    event.preventDefault();
    show(index + move * (chart.reversed ? -1 : 1));
  };
}
