/* The report of an unmixing run: components, maps, concentrations, their number, residual. */
const BLUE = "#3b8fd0";
/* Samples of matplotlib's cividis, which people with any kind of colour vision read alike. */
const CIVIDIS = ["#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838"].map(parseColour);
let abundance = null, cursor = null;

function showComponents() {
  const { axis, axis_title, rows } = DATA.components;
  byId("components-section").hidden = !rows.length;
  const has = (key) => rows.some((row) => row[key] !== null && row[key] !== undefined);
  const columns = [["component", (r) => r.name], ["share of the variance", (r) => (r.share === null ? null : percent(r.share))],
    ...(has("confidence") ? [["confidence", (r) => (r.confidence > 0.99 ? "> 99 %" : percent(r.confidence))]] : []),
    ...(has("match") ? [["match in the truth", (r) => r.match], ["cosine", (r) => r.cosine]] : []),
    ...(has("range_share") ? [["range of its share of the signal", (r) => `${percent(r.range_share[0])} to ${percent(r.range_share[1])}`], ["angle between extremes (°)", (r) => r.range_angle]] : [])];
  sortableTable(byId("component-table"), `${rows.length} components`, columns.map(([title]) => title), rows.map((row) => columns.map(([, read]) => read(row))));
  byId("components-note").textContent = has("range_share") ? "Shaded: other spectra of the component that explain the data as well." : "";
}

function showSpectra() {
  const { axis, axis_title, rows } = DATA.components;
  for (const row of rows) {
    const svg = svgElement("svg");
    const match = row.match ? `, true ${row.match} (cosine ${formatNumber(row.cosine)})` : "";
    byId("components").append(element("figure", {}, element("figcaption", { text: row.name + match }), svg));
    drawChart(svg, { x: axis_title || "axis", y: "intensity (unit length)", height: 230, label: `spectrum of ${row.name}`, reversed: axis[0] > axis[axis.length - 1],
      lines: [{ name: "", x: axis, y: row.values, colour: BLUE, width: 1.8 }].map((line) => ({ ...line, name: "value" })),
      bands: row.low ? [{ x: axis, low: row.low, high: row.high, colour: BLUE }] : [] });
  }
}

function showSamples() {
  byId("samples-section").hidden = !DATA.samples;
  if (!DATA.samples) return;
  const { heads, rows, total, file } = DATA.samples;
  sortableTable(byId("samples"), `${total.toLocaleString("en")} samples`, heads, rows, 300);
  if (rows.length < total) {
    byId("export-samples").disabled = true;
    byId("samples-note").textContent = `This report holds the first ${rows.length.toLocaleString("en")} of ${total.toLocaleString("en")} samples; ${file} in the folder of the run holds all.`;
  }
}

function showCount() {
  byId("count-section").hidden = !DATA.count;
  if (!DATA.count) return;
  const { curve, plausible_counts: [low, high] } = DATA.count, x = curve.component_counts;
  const spans = [{ from: low - 0.4, to: high + 0.4 }];
  const marks = [{ x: DATA.num_components, text: `result: ${DATA.num_components}` }];
  if (DATA.true_components) marks.push({ x: DATA.true_components, text: `true: ${DATA.true_components}`, row: 1 });
  const error = (sign) => curve.held_out_error.map((value, i) => Math.max(value + sign * curve.held_out_standard_error[i], value / 10));
  drawChart(byId("count-error"), { x: "number of components", y: "squared error, 1 is noise", scale: "log", integerX: true, spans, marks,
    lines: [{ name: "held-out entries", x, y: curve.held_out_error, colour: BLUE, dots: true }, { name: "all entries", x, y: curve.mean_square_residual, colour: "#e69f00", dots: true, dash: "5 3" }],
    bands: [{ x, low: error(-1), high: error(1), colour: BLUE }] });
  drawChart(byId("count-length"), { x: "number of components", y: "description length, beyond the result's", scale: "symlog", integerX: true, spans, marks,
    lines: [{ name: "description length", x, y: curve.description_lengths, colour: BLUE, dots: true }] });
  byId("count-note").textContent = `Grey: ${low === high ? `only ${low} is plausible` : `${low} to ${high} are plausible`}. Blue: held-out entries with their standard error; dashed: all entries.`
    + (DATA.count.restarts ? ` Restarts found ${DATA.count.restarts.join(", ")}.` : "");
}

function showResidual() {
  byId("residual-section").hidden = !DATA.residual && !DATA.noise.length;
  byId("residual-charts").hidden = !DATA.residual;
  if (!DATA.residual) return;
  const { axis, axis_title } = DATA.components, { bands, samples, sample_step } = DATA.residual;
  drawChart(byId("residual-bands"), { x: axis_title || "axis", y: "residual / noise", reversed: axis[0] > axis[axis.length - 1], lines: [{ name: "residual", x: axis, y: bands, colour: BLUE }] });
  drawChart(byId("residual-samples"), { x: "sample", y: "residual / noise", integerX: true, lines: [{ name: "residual", x: samples.map((_, i) => 1 + i * sample_step), y: samples, colour: BLUE, dots: samples.length < 400, dotsOnly: samples.length < 400 }] });
}

/* Maps --------------------------------------------------------------------------------------------- */

function valueAt(row, column, component) {
  const { low, high, decoded } = abundance, [, width, count] = decoded.shape;
  const step = decoded.values[(row * width + column) * count + component];
  return step === 65535 ? null : low[component] + step / 65534 * (high[component] - low[component]);
}

function drawAbundance() {
  const canvas = byId("map"), component = Number(byId("component").value), [height, width] = abundance.decoded.shape;
  const zoom = Math.max(1, Math.round(640 / Math.max(height, width))), percentile = Number(byId("limit").value);
  const values = [];
  for (let row = 0; row < height; row++) for (let column = 0; column < width; column++) values.push(valueAt(row, column, component));
  const sorted = values.filter((v) => v !== null).sort((a, b) => a - b);
  const low = Math.min(0, sorted[0] ?? 0), high = Math.max(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * percentile / 100))] ?? 1, low + 1e-30);
  const image = new ImageData(width, height);
  values.forEach((value, i) => {
    image.data[4 * i + 3] = value === null ? 0 : 255;
    if (value === null) return;
    const place = Math.max(0, Math.min(1, (value - low) / (high - low))) * (CIVIDIS.length - 1), first = Math.min(CIVIDIS.length - 2, Math.floor(place));
    for (let channel = 0; channel < 3; channel++) image.data[4 * i + channel] = CIVIDIS[first][channel] + (place - first) * (CIVIDIS[first + 1][channel] - CIVIDIS[first][channel]);
  });
  const layer = document.createElement("canvas");
  [layer.width, layer.height] = [width, height];
  layer.getContext("2d").putImageData(image, 0, 0);
  [canvas.width, canvas.height] = [width * zoom, height * zoom];
  fitCanvas(canvas);
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(layer, 0, 0, canvas.width, canvas.height);
  if (cursor) {
    context.strokeStyle = "#ff3030";
    context.lineWidth = 2;
    context.strokeRect(cursor.column * zoom - 2, cursor.row * zoom - 2, zoom + 4, zoom + 4);
  }
  byId("limit-value").textContent = `${percentile} %`;
  const bar = element("span", { class: "bar", style: `width: 9rem; height: 12px; background: linear-gradient(to right, ${CIVIDIS.map((c) => `rgb(${c.join(",")})`).join(",")})` });
  byId("scale").replaceChildren(element("span", { text: formatNumber(low) }), bar, element("span", { text: `${formatNumber(high)} (concentration, ${percentile}th percentile)` }));
  if (abundance.pixel_size) byId("scale").append(...scaleBar(canvas, abundance.pixel_size[1] * width * abundance.step, 1 / 4));
  canvas.setAttribute("aria-label", `concentrations of ${byId("component").selectedOptions[0].textContent} in ${abundance.name}`);
}

function readPixel(place) {
  cursor = place;
  drawAbundance();
  byId("readout").textContent = place ? `Row ${place.row * abundance.step}, column ${place.column * abundance.step} of ${abundance.name}` : "";
  const rows = place ? DATA.components.rows.map((each, k) => element("tr", {}, element("th", { scope: "row", text: each.name }), element("td", { class: "number", text: formatNumber(valueAt(place.row, place.column, k)) }))) : [];
  byId("pixel").replaceChildren(element("tbody", {}, ...rows));
}

async function showMaps(index) {
  abundance = DATA.cubes[index];
  abundance.decoded = abundance.decoded || await decodeArray(abundance.values);
  readPixel(null);
}

function connectMaps() {
  byId("maps-section").hidden = !DATA.cubes.length;
  if (!DATA.cubes.length) return null;
  DATA.cubes.forEach((cube, i) => byId("cube").append(element("option", { value: i, text: cube.name })));
  DATA.components.rows.forEach((row, i) => byId("component").append(element("option", { value: i, text: row.name })));
  byId("cube").addEventListener("change", (event) => showMaps(Number(event.target.value)));
  byId("component").addEventListener("change", drawAbundance);
  byId("limit").addEventListener("input", drawAbundance);
  const canvas = byId("map");
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect(), [height, width] = abundance.decoded.shape;
    const place = { row: Math.floor((event.clientY - box.top) / box.height * height), column: Math.floor((event.clientX - box.left) / box.width * width) };
    if (place.row >= 0 && place.column >= 0 && place.row < height && place.column < width) readPixel(place);
  });
  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key], [height, width] = abundance.decoded.shape;
    if (!move) return;
    event.preventDefault();
    const start = cursor || { row: height >> 1, column: width >> 1 }, size = event.shiftKey ? 10 : 1;
    readPixel({ row: Math.max(0, Math.min(height - 1, start.row + size * move[0])), column: Math.max(0, Math.min(width - 1, start.column + size * move[1])) });
  });
  return showMaps(0);
}

async function start() {
  showHeader();
  byId("options").textContent = DATA.options;
  byId("result-section").hidden = !DATA.sentences.length;
  for (const sentence of DATA.sentences) byId("sentences").append(element("li", { text: sentence }));
  showComponents();
  showSamples();
  showDefinitions(byId("noise"), DATA.noise);
  connectFiles();
  showFigures();
  await connectMaps();
}

function connectFiles() {
  const { axis, rows } = DATA.components;
  byId("export-components").addEventListener("click", () => saveFile("components.csv", csvText([["component", ...axis], ...rows.map((row) => [row.name, ...row.values])]), "text/csv"));
  if (DATA.samples) byId("export-samples").addEventListener("click", () => saveFile("concentrations.csv", csvText([DATA.samples.heads, ...DATA.samples.rows]), "text/csv"));
  if (!DATA.count) return;
  const { curve } = DATA.count;
  byId("export-count").addEventListener("click", () => saveFile("component_count.csv", csvText([Object.keys(curve), ...curve.component_counts.map((_, i) => Object.values(curve).map((column) => column[i]))]), "text/csv"));
}

/* Everything that is drawn at the width of the page. */
function showFigures() {
  showSpectra();
  showCount();
  showResidual();
  byId("curves-section").hidden = !DATA.curves.length;
  for (const curve of DATA.curves) {
    const svg = svgElement("svg");
    byId("curves").append(element("figure", {}, element("figcaption", { text: curve.title }), svg));
    drawChart(svg, { x: "step", y: curve.title, height: 230, integerX: true, integerY: curve.title === "components", lines: curve.series.map((line) => ({ ...line, colour: BLUE })) });
  }
}

let redraw = null;
window.addEventListener("resize", () => {
  clearTimeout(redraw);
  redraw = setTimeout(() => { byId("components").replaceChildren(); byId("curves").replaceChildren(); showFigures(); if (abundance) drawAbundance(); }, 150);
});

start().then(() => { document.documentElement.dataset.ready = "true"; });
