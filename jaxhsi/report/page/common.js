/* What all reports share: data, elements, numbers, files. Text is always set as text, never as HTML. */
const DATA = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";

function byId(id) { return document.getElementById(id); }

function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "text") node.textContent = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

function svgElement(name, attributes = {}, text = null) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== null) node.textContent = text;
  return node;
}

const ARRAY_TYPES = { uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array, int32: Int32Array, float32: Float32Array };

/* An array of html_page.encode_array. */
async function decodeArray(encoded) {
  const packed = Uint8Array.from(atob(encoded.data), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const values = new ARRAY_TYPES[encoded.type](await new Response(stream).arrayBuffer());
  return { values, shape: encoded.shape };
}

function say(message) {
  byId("status").textContent = message;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { byId("status").textContent = ""; }, 6000);
}

function percent(share) { return share > 0 && share < 0.0005 ? "<\u00a00.1\u00a0%" : (100 * share).toFixed(1) + "\u00a0%"; }

function formatNumber(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-3) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
}

const AREA_UNITS = [["km²", 1e6], ["ha", 1e4], ["m²", 1], ["cm²", 1e-4], ["mm²", 1e-6]];

function areaUnit(largest) { return AREA_UNITS.find(([, size]) => largest >= size) || AREA_UNITS[AREA_UNITS.length - 1]; }

const LENGTH_UNITS = [["km", 1e3], ["m", 1], ["cm", 1e-2], ["mm", 1e-3], ["µm", 1e-6]];

/* The longest of 1, 2 and 5 times a power of ten up to a limit, in metres, with its text. */
function roundLength(limit) {
  const power = 10 ** Math.floor(Math.log10(limit));
  const length = Math.max(...[1, 2, 5].map((factor) => factor * power).filter((each) => each <= limit * 1.000001));
  const [unit, size] = LENGTH_UNITS.find(([, metres]) => length >= metres * 0.999999) || LENGTH_UNITS[LENGTH_UNITS.length - 1];
  return [length, Number((length / size).toPrecision(6)) + " " + unit];
}

/* Shows a canvas at its own size at most, whole, and in its proportions. */
function fitCanvas(canvas) {
  canvas.style.width = `min(100%, ${canvas.width}px, calc(82vh * ${(canvas.width / canvas.height).toFixed(5)}))`;
}

/* A scale bar of a round length below a canvas that shows so many metres, and the length in words. */
function scaleBar(canvas, metres, share) {
  const [length, text] = roundLength(metres * share);
  const pixels = canvas.getBoundingClientRect().width * length / metres;
  return [element("span", { class: "bar", style: `width: ${pixels.toFixed(1)}px` }), element("span", { text })];
}

function saveFile(name, content, type) {
  const link = element("a", { href: URL.createObjectURL(new Blob([content], { type })), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/* A cell of a CSV file; an apostrophe goes before what a spreadsheet would take as a formula. */
function csvCell(value) {
  let text = value === null || value === undefined ? "" : String(value);
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = "'" + text;
  return /[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
}

function csvText(rows) { return rows.map((row) => row.map(csvCell).join(",") + "\r\n").join(""); }

function parseColour(text) { return [1, 3, 5].map((start) => parseInt(text.slice(start, start + 2), 16)); }

function showHeader() {
  byId("summary").textContent = DATA.summary;
  for (const notice of DATA.notices) byId("notices").append(element("li", { text: notice }));
  byId("notices").hidden = !DATA.notices.length;
}

function showDefinitions(list, pairs) {
  for (const [name, value] of pairs) list.append(element("dt", { text: name }), element("dd", { text: value }));
}

/* A table whose columns sort by a click or Enter on their titles. */
function sortableTable(table, caption, titles, rows, shown = 500) {
  let order = rows.map((_, index) => index), sorted = null, ascending = true;
  const body = element("tbody");
  const isNumber = titles.map((_, column) => rows.some((row) => typeof row[column] === "number"));
  function fill() {
    body.replaceChildren(...order.slice(0, shown).map((index) => element("tr", {}, ...rows[index].map((value, column) =>
      element("td", { class: isNumber[column] ? "number" : null, text: typeof value === "number" ? formatNumber(value) : value ?? "–" })))));
  }
  const heads = titles.map((title, column) => element("th", { scope: "col", class: isNumber[column] ? "number" : null }, element("button", {
    type: "button", text: title, onclick: () => {
      ascending = sorted === column ? !ascending : !isNumber[column];
      sorted = column;
      order.sort((a, b) => {
        const [x, y] = [rows[a][column], rows[b][column]];
        if (x === null || y === null) return (x === null) - (y === null);
        const comparison = typeof x === "number" ? x - y : String(x).localeCompare(String(y));
        return ascending ? comparison : -comparison;
      });
      heads.forEach((head, other) => head.setAttribute("aria-sort", other !== column ? "none" : ascending ? "ascending" : "descending"));
      fill();
    } })));
  const note = rows.length > shown ? ` (first ${shown} rows of the order chosen; the CSV file holds all)` : "";
  table.append(element("caption", { text: caption + note }), element("thead", {}, element("tr", {}, ...heads)), body);
  fill();
}
