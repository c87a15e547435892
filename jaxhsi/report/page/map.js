/* The map: false colour under labels, on a canvas of the pixels of the preview. */
class LabelMap {
  constructor(canvas, grouping) {
    this.canvas = canvas;
    this.grouping = grouping;
    this.opacity = 0.65;
    this.threshold = 0;
    this.layer = "labels";
    this.highlight = -1;
    this.numbers = true;
    this.cursor = null;
    this.pinned = null;
  }

  async show(cube) {
    if (!cube.decoded) {
      const decode = async (part) => (part ? decodeArray(part) : null);
      const [labels, confidence, truth, spectra] = await Promise.all([cube.labels, cube.confidence, cube.truth, cube.spectra && cube.spectra.values].map(decode));
      const picture = new Image();
      picture.src = cube.picture;
      await picture.decode();
      cube.decoded = { labels: labels.values, confidence: confidence.values, truth: truth && truth.values, spectra, picture };
    }
    this.cube = cube;
    [this.height, this.width] = cube.labels.shape;
    // Small maps are drawn larger, so that numbers and edges are sharp.
    this.zoom = Math.max(1, Math.round(720 / Math.max(this.height, this.width)));
    this.canvas.width = this.width * this.zoom;
    this.canvas.height = this.height * this.zoom;
    fitCanvas(this.canvas);
    this.cursor = this.pinned = null;
    this.draw();
  }

  overlay() {
    const { labels, confidence, truth } = this.cube.decoded, image = new ImageData(this.width, this.height);
    const showTruth = this.layer === "truth";
    const colours = (showTruth ? DATA.class_colours : this.grouping.groups.map((g) => g.colour)).map(parseColour);
    for (let i = 0; i < labels.length; i++) {
      if (labels[i] < 0) { image.data[4 * i + 3] = 0; continue; }
      const index = showTruth ? truth[i] : this.grouping.groupOf[labels[i]];
      if (index < 0 || (!showTruth && confidence[i] < this.threshold)) { image.data[4 * i + 3] = 0; continue; }
      const colour = colours[index];
      image.data[4 * i] = colour[0];
      image.data[4 * i + 1] = colour[1];
      image.data[4 * i + 2] = colour[2];
      const faded = this.highlight >= 0 && !showTruth && index !== this.highlight;
      image.data[4 * i + 3] = this.highlight >= 0 && !showTruth && !faded ? 255 : 255 * this.opacity * (faded ? 0.12 : 1);
    }
    return image;
  }

  draw() {
    const context = this.canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.drawImage(this.cube.decoded.picture, 0, 0, this.canvas.width, this.canvas.height);
    const layer = document.createElement("canvas");
    layer.width = this.width;
    layer.height = this.height;
    layer.getContext("2d").putImageData(this.overlay(), 0, 0);
    context.drawImage(layer, 0, 0, this.canvas.width, this.canvas.height);
    if (this.numbers && this.layer === "labels" && this.opacity > 0) this.drawNumbers(context);
    for (const [place, colour] of [[this.pinned, "#ffffff"], [this.cursor, "#ffff66"]]) if (place) this.drawCross(context, place, colour);
  }

  drawCross(context, { row, column }, colour) {
    const x = (column + 0.5) * this.zoom, y = (row + 0.5) * this.zoom, size = Math.max(6, 9 * this.canvas.width / 720);
    for (const [style, width] of [["#000000", 4], [colour, 2]]) {
      context.strokeStyle = style;
      context.lineWidth = width;
      context.beginPath();
      context.moveTo(x - size, y); context.lineTo(x - 2, y); context.moveTo(x + 2, y); context.lineTo(x + size, y);
      context.moveTo(x, y - size); context.lineTo(x, y - 2); context.moveTo(x, y + 2); context.lineTo(x, y + size);
      context.stroke();
    }
  }

  /* The number of each group where it is widest. */
  drawNumbers(context) {
    const { labels, confidence } = this.cube.decoded, { width, height } = this;
    const group = (i) => (labels[i] < 0 || confidence[i] < this.threshold ? -1 : this.grouping.groupOf[labels[i]]);
    const depth = new Uint16Array(width * height);
    for (let i = 0; i < depth.length; i++) {
      const x = i % width, same = group(i);
      if (same < 0) continue;
      const up = i >= width && group(i - width) === same ? depth[i - width] : 0;
      const left = x > 0 && group(i - 1) === same ? depth[i - 1] : 0;
      depth[i] = Math.min(up, left) + 1;
    }
    const best = this.grouping.groups.map(() => ({ depth: 0 }));
    for (let i = depth.length - 1; i >= 0; i--) {
      const x = i % width, same = group(i);
      if (same < 0) continue;
      const down = i + width < depth.length && group(i + width) === same ? depth[i + width] : 0;
      const right = x < width - 1 && group(i + 1) === same ? depth[i + 1] : 0;
      depth[i] = Math.min(depth[i], Math.min(down, right) + 1);
      if (depth[i] > best[same].depth) best[same] = { depth: depth[i], x, y: Math.floor(i / width) };
    }
    const size = Math.round(15 * this.canvas.width / 720) + 4;
    context.font = `bold ${size}px system-ui, "DejaVu Sans", sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    best.forEach((place, index) => {
      if (place.depth * this.zoom * 2 < size * 0.8) return;
      const x = (place.x + 0.5) * this.zoom, y = (place.y + 0.5) * this.zoom;
      context.lineWidth = 4;
      context.strokeStyle = "#000000";
      context.fillStyle = "#ffffff";
      context.strokeText(String(index), x, y);
      context.fillText(String(index), x, y);
    });
  }

  placeOf(event) {
    const box = this.canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / box.width * this.width), row = Math.floor((event.clientY - box.top) / box.height * this.height);
    return row >= 0 && column >= 0 && row < this.height && column < this.width ? { row, column } : null;
  }

  /* What is at a pixel of the preview; its spectrum is that of the nearest pixel of the coarser grid. */
  read({ row, column }) {
    const { labels, confidence, truth, spectra } = this.cube.decoded, i = row * this.width + column, step = this.cube.step;
    const result = { row: row * step, column: column * step, label: labels[i], confidence: confidence[i], truth: truth ? truth[i] : null, spectrum: null };
    if (!spectra || labels[i] < 0) return result;
    const { step: coarse, low, high } = this.cube.spectra, [rows, columns, bands] = spectra.shape;
    const y = Math.min(rows - 1, Math.round(result.row / coarse)), x = Math.min(columns - 1, Math.round(result.column / coarse));
    const start = (y * columns + x) * bands;
    result.spectrum = low.map((least, band) => least + spectra.values[start + band] / 65535 * (high[band] - least));
    result.spectrumPlace = [y * coarse, x * coarse];
    return result;
  }
}
