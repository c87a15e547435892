/* The report of a segmentation: controls, table of groups, spectra, tree, presence, scores, training. */
const grouping = new Grouping(DATA);
const map = new LabelMap(byId("map"), grouping);
const selected = new Set();
let pixel = null;

/* Share of the pixels of each label that are at or above the threshold of confidence, in one cube. */
function labelPixels(cube, threshold) {
  return cube.counts.map((row) => row.reduce((sum, count, percentile) => sum + (percentile >= threshold ? count : 0), 0));
}

function groupSums(labelValues) {
  return grouping.groups.map((group) => group.members.reduce((sum, k) => sum + labelValues[k], 0));
}

function currentPixels() { return groupSums(labelPixels(map.cube, map.threshold)); }

function showGroups() {
  const pixels = currentPixels(), total = Math.max(1, pixels.reduce((a, b) => a + b, 0)), area = map.cube.pixel_area;
  const [unit, size] = area ? areaUnit(Math.max(...pixels) * area) : ["", 1];
  const heads = ["", "no.", "colour", "name", DATA.kind + "s", "pixels", "share", ...(area ? [`area (${unit})`] : [])];
  const rows = grouping.groups.map((group, index) => {
    const number = (text) => element("td", { class: "number", text });
    const row = element("tr", { onpointerenter: () => highlight(index), onpointerleave: () => highlight(-1), onfocusin: () => highlight(index), onfocusout: () => highlight(-1) },
      element("td", {}, element("input", { type: "checkbox", "aria-label": `select ${group.name}`, checked: selected.has(index), onchange: (event) => choose(index, event.target.checked) })),
      number(index),
      element("td", {}, element("input", { type: "color", value: group.colour, "aria-label": `colour of ${group.name}`, onchange: (event) => change(() => grouping.recolour(index, event.target.value)) })),
      element("td", {}, element("input", { type: "text", value: group.name, "aria-label": `name of group ${index}`, onchange: (event) => rename(index, event.target) })),
      element("td", { class: "members", text: group.members.map((k) => DATA.members[k].join(", ")).join(", ") }),
      number(pixels[index].toLocaleString("en")), number(percent(pixels[index] / total)));
    if (area) row.append(number(formatNumber(pixels[index] * area / size)));
    return row;
  });
  byId("groups").replaceChildren(
    element("caption", { text: `${grouping.groups.length} groups in ${map.cube.name}` + (map.threshold ? `, pixels with a confidence of at least ${map.threshold} %` : "") }),
    element("thead", {}, element("tr", {}, ...heads.map((text, i) => element("th", { scope: "col", text, class: i > 4 || i === 1 ? "number" : null })))),
    element("tbody", {}, ...rows));
  const left = labelPixels(map.cube, 0).reduce((a, b) => a + b, 0) - total;
  byId("area-note").textContent = (map.threshold && left > 0 ? `${left.toLocaleString("en")} pixels are below the threshold and not counted. ` : "")
    + (area ? "" : "Areas in m² need the size of a pixel: predict --pixel_size.");
  updateButtons();
}

function updateButtons() {
  byId("merge").disabled = selected.size < 2;
  byId("split").disabled = ![...selected].some((i) => grouping.groups[i].members.length > 1);
  byId("undo").disabled = !grouping.history.length;
}

function choose(index, isChosen) {
  if (isChosen) selected.add(index); else selected.delete(index);
  updateButtons();
}

function highlight(index) {
  if (map.highlight === index) return;
  map.highlight = index;
  map.draw();
}

/* A change by hand, which can be undone. */
function change(action) {
  grouping.remember();
  const result = action();
  refresh();
  return result;
}

function rename(index, input) {
  const before = grouping.groups[index].name;
  grouping.remember();
  const refusal = grouping.rename(index, input.value);
  if (refusal) {
    grouping.history.pop();
    say(refusal);
    input.value = before;
    return;
  }
  refresh();
}

function refresh() {
  selected.clear();
  map.highlight = -1;
  byId("granularity").value = grouping.cut;
  byId("granularity-value").textContent = `${grouping.groups.length} of ${grouping.count}`;
  map.draw();
  showGroups();
  showSpectrum();
  showTree();
  showPresence();
}

/* Spectra ----------------------------------------------------------------------------------------- */

/* Mean and standard deviation of a group of labels, exact: sums of squares within and between them. */
function groupSpectrum(members) {
  const { counts, means, deviations } = DATA.spectra, bands = DATA.spectra.axis.length;
  const total = members.reduce((sum, k) => sum + counts[k], 0), mean = new Array(bands).fill(0), spread = new Array(bands).fill(0);
  if (!total) return null;
  for (const k of members) if (counts[k]) for (let b = 0; b < bands; b++) mean[b] += counts[k] / total * means[k][b];
  for (const k of members) if (counts[k]) for (let b = 0; b < bands; b++)
    spread[b] += (counts[k] - 1) * (deviations[k][b] ?? 0) ** 2 + counts[k] * (means[k][b] - mean[b]) ** 2;
  return { mean, deviation: spread.map((sum) => Math.sqrt(sum / Math.max(1, total - 1))), total };
}

function showSpectrum() {
  if (!DATA.spectra) return;
  const axis = DATA.spectra.axis, lines = [], bands = [];
  const reading = pixel && pixel.label >= 0 ? pixel : null;
  const shown = reading ? [grouping.groupOf[reading.label]] : grouping.groups.map((_, i) => i);
  for (const index of shown) {
    const group = grouping.groups[index], spectrum = groupSpectrum(group.members);
    if (!spectrum) continue;
    lines.push({ name: shown.length <= 6 ? group.name : null, x: axis, y: spectrum.mean, colour: group.colour, width: 2.2, rim: true });
    if (shown.length === 1) bands.push({ x: axis, low: spectrum.mean.map((m, i) => m - spectrum.deviation[i]), high: spectrum.mean.map((m, i) => m + spectrum.deviation[i]), colour: group.colour });
  }
  if (reading && reading.spectrum) lines.push({ name: "pixel", x: map.cube.spectra.axis, y: reading.spectrum, width: 1.4 });
  drawChart(byId("spectrum"), { x: DATA.spectra.title, y: DATA.spectra.value_name, lines, bands, height: 320 });
  if (!reading) labelLines(lines, shown);
  byId("spectrum-note").textContent = reading
    ? `${grouping.groups[shown[0]].name}: mean of all cubes, shaded ± one standard deviation.` + (reading.spectrum
      ? ` Thin line: pixel at row ${reading.spectrumPlace[0]}, column ${reading.spectrumPlace[1]} of ${map.cube.name}${map.cube.spectra.step > 1 ? `, the nearest of every ${map.cube.spectra.step}th pixel, which are kept here` : ""}.`
      : " The spectrum of this pixel is not kept here.")
    : "Mean spectrum of each group over all cubes, with its number; point at the map for one group and pixel. Quartiles are in spectra.csv.";
}

/* Numbers of the groups at the right ends of their lines, one below the other, none below the axis. */
function labelLines(lines, shown) {
  const svg = byId("spectrum"), base = svg.viewBox.baseVal.height - 46, paths = [...svg.querySelectorAll("path[stroke-linejoin]")];
  const ends = paths.map((path, i) => ({ index: shown[i], place: path.getPointAtLength(path.getTotalLength()) })).sort((a, b) => a.place.y - b.place.y);
  const places = [];
  for (const { place } of ends) places.push(Math.max((places.at(-1) ?? -Infinity) + 10, place.y + 4));
  for (let i = places.length - 1, lowest = base; i >= 0; i--, lowest -= 10) lowest = places[i] = Math.min(places[i], lowest);
  ends.forEach(({ index, place }, i) => svg.append(svgElement("text", { x: place.x + 3, y: places[i], style: "font-size: 10px" }, String(index))));
}

/* Tree --------------------------------------------------------------------------------------------- */

function showTree() {
  if (!DATA.tree) return;
  const svg = byId("tree"), { pairs, heights } = DATA.tree, count = grouping.count;
  const leaves = [2 * count - 2];
  for (let i = 0; i < leaves.length;) leaves[i] >= count ? leaves.splice(i, 1, ...pairs[leaves[i] - count]) : i++;
  const rowHeight = 19, width = Math.max(480, svg.clientWidth || 960), left = 210, right = width - 24, height = count * rowHeight + 44;
  const depth = [...new Array(count).fill(0), ...heights.map(Math.sqrt)], deepest = Math.max(...depth, 1e-9);
  const placeX = (value) => left + (right - left) * value / deepest, y = [];
  leaves.forEach((leaf, i) => { y[leaf] = 14 + i * rowHeight; });
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `merge tree of ${count} clusters, cut into ${grouping.cut} groups`);
  pairs.forEach(([a, b], m) => {
    const node = count + m, x = placeX(depth[node]);
    y[node] = (y[a] + y[b]) / 2;
    const isBelowCut = m < count - grouping.cut;
    const stroke = isBelowCut ? grouping.groups[grouping.groupOf[firstLeaf(node, pairs, count)]].colour : "var(--muted)";
    svg.append(svgElement("path", { d: `M${placeX(depth[a])} ${y[a]}H${x}V${y[b]}H${placeX(depth[b])}`, fill: "none", stroke, "stroke-width": isBelowCut ? 2.6 : 1.3 }));
  });
  for (const leaf of leaves) {
    const group = grouping.groups[grouping.groupOf[leaf]];
    svg.append(svgElement("rect", { x: left - 13, y: y[leaf] - 6, width: 12, height: 12, fill: group.colour, stroke: "var(--muted)" }));
    const name = DATA.label_names[leaf];
    svg.append(svgElement("text", { x: left - 19, y: y[leaf] + 4, "text-anchor": "end" }, `${name.length > 24 ? name.slice(0, 23) + "…" : name}  ${percent(DATA.label_shares[leaf])}`));
  }
  if (grouping.cut > 1 && grouping.cut < count) {
    const x = placeX((depth[2 * count - grouping.cut - 1] + depth[2 * count - grouping.cut]) / 2);
    svg.append(svgElement("line", { class: "cursor", x1: x, x2: x, y1: 4, y2: height - 34, "stroke-width": 1.5 }));
  }
  const base = height - 30;
  svg.append(svgElement("path", { class: "axis", d: `M${left} ${base}H${right}` }));
  let last = -Infinity;
  for (const tick of [0, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000]) {
    const x = placeX(Math.sqrt(tick));
    if (Math.sqrt(tick) > deepest || x < last + 26) continue;
    last = x;
    svg.append(svgElement("line", { class: "axis", x1: x, x2: x, y1: base, y2: base + 4 }), svgElement("text", { x, y: base + 16, "text-anchor": "middle" }, String(tick)));
  }
  svg.append(svgElement("text", { x: (left + right) / 2, y: height - 1, "text-anchor": "middle" }, "distance in noise deviations"));
}

function firstLeaf(node, pairs, count) {
  while (node >= count) node = pairs[node - count][0];
  return node;
}

/* Presence, scores, training ----------------------------------------------------------------------- */

function showPresence() {
  const heads = ["cube", ...grouping.groups.map((g, i) => (g.name.endsWith(` ${i}`) ? g.name : `${i} ${g.name}`))];
  const rows = DATA.cubes.map((cube) => {
    const pixels = groupSums(labelPixels(cube, 0)), total = Math.max(1, pixels.reduce((a, b) => a + b, 0));
    return element("tr", {}, element("th", { scope: "row", text: cube.name }), ...pixels.map((count) => {
      const share = count / total, isPresent = share > DATA.present_share;
      const tint = isPresent ? 8 + 62 * (1 + Math.log10(share) / 3) : 0;
      return element("td", { class: "heat", text: isPresent ? percent(share) : "–", style: `background: color-mix(in srgb, var(--accent) ${Math.max(0, tint * 0.6).toFixed(0)}%, transparent)` });
    }));
  });
  byId("presence").replaceChildren(
    element("caption", { text: `Share of the valid pixels; – under ${percent(DATA.present_share)}` }),
    element("thead", {}, element("tr", {}, ...heads.map((text, i) => element("th", { scope: "col", text, class: i ? "number" : null })))), element("tbody", {}, ...rows));
}

function showScores() {
  if (!DATA.scores) { byId("scores-section").hidden = true; return; }
  sortableTable(byId("scores"), DATA.scores.caption, DATA.scores.heads, DATA.scores.rows);
  byId("scores-note").textContent = DATA.scores.note;
}

function showCurves() {
  byId("curves-section").hidden = !DATA.curves.length;
  byId("curves").replaceChildren();
  for (const curve of DATA.curves) {
    const svg = svgElement("svg");
    byId("curves").append(element("figure", {}, element("figcaption", { text: curve.title }), svg));
    const colours = ["var(--plot-line)", "#d55e00"];
    drawChart(svg, { x: "step", y: curve.unit || "value", label: curve.title, height: 230, integerX: true, leastRange: 0.2,
      lines: curve.series.map((line, i) => ({ ...line, colour: colours[i], dots: line.x.length < 30 })), marks: DATA.marks });
  }
}

/* Controls ----------------------------------------------------------------------------------------- */

function showReadout(reading) {
  const group = reading && reading.label >= 0 ? grouping.groups[grouping.groupOf[reading.label]] : null;
  byId("readout").textContent = !reading ? "" : `Row ${reading.row}, column ${reading.column}: ` + (!group ? "not valid"
    : `${group.name} (${grouping.groupOf[reading.label]}), ${DATA.kind} ${reading.label}, confidence ${reading.confidence} %`)
    + (reading.truth === null ? "" : `; truth: ${reading.truth < 0 ? "unlabelled" : DATA.class_names[reading.truth]}`);
}

function lookAt(place) {
  map.cursor = place;
  const shown = place || map.pinned;
  pixel = shown ? map.read(shown) : null;
  showReadout(pixel);
  map.draw();
  showSpectrum();
}

function moveCursor(event) {
  const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }, move = moves[event.key];
  if (event.key === "Escape") { map.pinned = null; lookAt(null); return; }
  if (event.key === "Enter" && map.cursor) { map.pinned = map.cursor; lookAt(map.cursor); return; }
  if (!move) return;
  event.preventDefault();
  const start = map.cursor || map.pinned || { row: map.height >> 1, column: map.width >> 1 }, size = event.shiftKey ? 10 : 1;
  const limit = (value, top) => Math.max(0, Math.min(top - 1, value));
  lookAt({ row: limit(start.row + size * move[0], map.height), column: limit(start.column + size * move[1], map.width) });
}

function showScale() {
  const cube = map.cube, size = cube.pixel_size;
  byId("scale").replaceChildren();
  byId("map").setAttribute("aria-label", `${cube.name}, ${cube.height} by ${cube.width} pixels`);
  const kept = cube.step > 1 ? `; every ${cube.step}th pixel is drawn, all are counted` : "";
  if (size) byId("scale").append(...scaleBar(byId("map"), size[1] * map.width * cube.step, 1 / 3));
  byId("scale").append(element("span", { text: `${cube.height} × ${cube.width} pixels${kept}` }));
}

/* Colours of the true classes, where they are on the map. */
function showLegend() {
  const entries = map.layer === "truth" ? DATA.class_names : [];
  byId("legend").replaceChildren(...entries.map((name, i) => element("li", {}, element("span", { class: "key", style: `background: ${DATA.class_colours[i]}` }), name)));
}

async function showCube(index) {
  const cube = DATA.cubes[index];
  const layers = [["labels", "groups over false colour"], ...(cube.truth ? [["truth", "true classes over false colour"]] : [])];
  byId("layer").replaceChildren(...layers.map(([value, text]) => element("option", { value, text })));
  if (!layers.some(([value]) => value === map.layer)) map.layer = "labels";
  byId("layer").value = map.layer;
  await map.show(cube);
  showLegend();
  pixel = null;
  showScale();
  showReadout(null);
  showGroups();
  showSpectrum();
}

function exportGroups() {
  saveFile("groups.yaml", grouping.yaml(DATA.members, DATA.run_name, DATA.tree_id), "application/yaml");
  say("groups.yaml: jaxhsi predict RUN CUBE --groups groups.yaml labels cubes by these groups");
}

function exportAreas() {
  const rows = [["cube", "group", "name", "pixels", "share", "m2", "least_confidence_percent"]];
  for (const cube of DATA.cubes) {
    const pixels = groupSums(labelPixels(cube, map.threshold)), total = Math.max(1, pixels.reduce((a, b) => a + b, 0));
    grouping.groups.forEach((g, i) => rows.push([cube.name, i, g.name, pixels[i], (pixels[i] / total).toFixed(6), cube.pixel_area ? pixels[i] * cube.pixel_area : "", map.threshold]));
  }
  saveFile("areas.csv", csvText(rows), "text/csv");
}

function exportSpectra() {
  const rows = [["group", "name", "pixels", "statistic", "axis", ...DATA.spectra.axis]];
  grouping.groups.forEach((g, i) => {
    const spectrum = groupSpectrum(g.members);
    if (!spectrum) return;
    for (const [name, values] of [["mean", spectrum.mean], ["standard deviation", spectrum.deviation]])
      rows.push([i, g.name, spectrum.total, name, DATA.spectra.unit, ...values.map((v) => Number(v.toPrecision(7)))]);
  });
  saveFile("group_spectra.csv", csvText(rows), "text/csv");
}

function onInput(id, action) {
  const input = byId(id);
  input.addEventListener("input", () => action(Number(input.value)));
}

function connect() {
  onInput("opacity", (value) => { map.opacity = value / 100; byId("opacity-value").textContent = `${value} %`; map.draw(); });
  onInput("confidence", (value) => { map.threshold = value; byId("confidence-value").textContent = `≥ ${value} %`; map.draw(); showGroups(); });
  onInput("granularity", (value) => change(() => grouping.setCut(value)));
  byId("numbers").addEventListener("change", (event) => { map.numbers = event.target.checked; map.draw(); });
  byId("layer").addEventListener("change", (event) => { map.layer = event.target.value; map.draw(); showLegend(); });
  byId("cube").addEventListener("change", (event) => showCube(Number(event.target.value)));
  const canvas = byId("map");
  canvas.addEventListener("pointermove", (event) => lookAt(map.placeOf(event)));
  canvas.addEventListener("pointerleave", () => lookAt(null));
  canvas.addEventListener("click", (event) => { map.pinned = map.placeOf(event); lookAt(map.pinned); });
  canvas.addEventListener("keydown", moveCursor);
  byId("merge").addEventListener("click", () => { const indices = [...selected].sort((a, b) => a - b); const place = change(() => grouping.merge(indices)); say(`merged into ${grouping.groups[place].name}`); });
  byId("split").addEventListener("click", () => { const indices = [...selected]; change(() => grouping.split(indices)); });
  byId("undo").addEventListener("click", () => { if (grouping.undo()) refresh(); });
  byId("reset").addEventListener("click", () => change(() => { grouping.own.clear(); begin(); }));
  byId("export").addEventListener("click", exportGroups);
  byId("export-areas").addEventListener("click", exportAreas);
  byId("export-spectra").addEventListener("click", exportSpectra);
}

/* The groups that the report begins with: those saved with the run, or all clusters. */
function begin() {
  grouping.setCut(grouping.count);
  if (DATA.saved_groups) grouping.setGroups(DATA.saved_groups);
}

async function start() {
  showHeader();
  byId("options").textContent = DATA.options;
  showScores();
  for (const [part, id] of [[DATA.cubes.length, "map-section"], [DATA.spectra, "spectra-section"], [DATA.tree, "tree-section"], [DATA.cubes.length, "presence-section"]]) byId(id).hidden = !part;
  showCurves();
  if (!DATA.cubes.length) return;
  begin();
  DATA.cubes.forEach((cube, index) => byId("cube").append(element("option", { value: index, text: cube.name })));
  byId("granularity").max = grouping.count;
  for (const id of ["granularity", "granularity-label", "granularity-value"]) byId(id).hidden = !DATA.tree;
  for (const { num_groups, reason } of DATA.suggested)
    byId("suggestions").append(element("button", { type: "button", class: "chip", text: `${num_groups} groups`, title: reason, "aria-label": `${num_groups} groups: ${reason}`, onclick: () => change(() => grouping.setCut(num_groups)) }));
  byId("opacity-value").textContent = "65 %";
  byId("confidence-value").textContent = "≥ 0 %";
  connect();
  await showCube(0);
  refresh();
}

let redraw = null;
window.addEventListener("resize", () => {
  clearTimeout(redraw);
  redraw = setTimeout(() => { showSpectrum(); showTree(); showCurves(); if (map.cube) showScale(); }, 150);
});

start().then(() => { document.documentElement.dataset.ready = "true"; });
