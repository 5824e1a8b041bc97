// Curves over the whole video. One pass over the frames of each pixel column gives its lowest and highest value, so
// that a long video draws as fast as a short one looks. The cursor has a canvas of its own.

const curves = document.getElementById("curves");
const cursor = document.getElementById("cursor");
const LEFT = 132;
const RIGHT = 10;
const AXIS = 18;
const span = { from: times[0], to: endTime };
const SHORTEST_SPAN = Math.min(endTime, 10 * medianStep);
const HEAT = new Uint8ClampedArray(3 * 256);
let rows = [];

function layRows(track) {
  const found = [{ kind: "status", title: "face", height: 10 }];
  const curve = (name) => [
    [`other_${name}`, "purple", "second model", `other_smoothed_${name}`], [name, "sky", "raw"],
    [`smoothed_${name}`, "blue", "smoothed"], [`label_${name}`, "orange", "label"],
  ].map(([column, style, title, better]) => [better && track.has(better) ? better : column, style, title])
    .filter(([column]) => track.has(column));
  for (const name of ["valence", "arousal"])
    if (curve(name).length) found.push({ kind: "curve", title: name, height: 50, series: curve(name) });
  const strips = [
    [track.first("decided_expression", "expression"), "expression"], ["label_expression", "  labelled"],
    [track.first("other_decided_expression", "other_expression"), "  second model"],
  ].filter(([column]) => column && track.has(column));
  for (const [column, title] of strips) found.push({ kind: "strip", title, height: 12, column });
  const units = view.units.filter((unit) => track.has(unit.name) || track.has(`label_${unit.name}`));
  units.forEach((unit, number) => found.push({
    kind: "unit", title: unit.name.toUpperCase(), height: 9, column: unit.name, label: `label_${unit.name}`,
    gap: number === 0 ? 4 : 0,
  }));
  let top = 2;
  for (const row of found) {
    top += row.gap === undefined ? 3 : row.gap;
    row.top = top;
    top += row.height;
  }
  return { found, height: top + AXIS };
}

function layTimelines() {
  const { found, height } = chosen() ? layRows(chosen()) : { found: [], height: AXIS + 10 };
  rows = found;
  for (const canvas of [curves, cursor]) canvas.style.height = `${height}px`;
  readHeat();
  drawCurves();
}

/** From the background to a strong blue, by lightness alone. */
function readHeat() {
  const [low, high] = [rgb(PALETTE.panel), rgb(PALETTE.blue)];
  for (let level = 0; level < 256; level++)
    for (let part = 0; part < 3; part++) HEAT[3 * level + part] = low[part] + ((high[part] - low[part]) * level) / 255;
}

function rgb(hex) {
  return [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16));
}

/** For each pixel column: its first frame, and the frame after its last; at least the frame that is shown then. */
function framesOfColumns(width) {
  const first = new Int32Array(width);
  const end = new Int32Array(width);
  const step = (span.to - span.from) / width;
  let frame = frameAt(span.from);
  for (let column = 0; column < width; column++) {
    const until = span.from + step * (column + 1);
    while (frame + 1 < numFrames && times[frame + 1] <= until - step) frame++;
    first[column] = frame;
    let after = frame + 1;
    while (after < numFrames && times[after] < until) after++;
    end[column] = after;
    frame = after - 1;
  }
  return { first, end };
}

function drawCurves() {
  const { context, width, height } = fit(curves);
  const ratio = curves.width / width;
  context.clearRect(0, 0, width, height);
  const track = chosen();
  if (!track || width < LEFT + 50) return;
  const plot = Math.round((width - LEFT - RIGHT) * ratio);
  const columns = framesOfColumns(plot);
  context.textBaseline = "middle";
  for (const row of rows) {
    context.font = row.kind === "unit" ? "9px system-ui, sans-serif" : "11px system-ui, sans-serif";
    context.fillStyle = PALETTE.quiet;
    context.fillText(row.title, 4, row.top + row.height / 2 + 0.5);
    context.fillStyle = PALETTE.panel;
    context.fillRect(LEFT, row.top, width - LEFT - RIGHT, row.height);
    if (row.kind === "curve") drawCurveRow(context, row, track, columns, plot, ratio);
    else drawCells(context, row, track, columns, plot, ratio);
  }
  drawAxis(context, width, height);
  drawCursor();
}

function drawCurveRow(context, row, track, columns, plot, ratio) {
  context.fillStyle = PALETTE.line;
  context.fillRect(LEFT, row.top + row.height / 2, plot / ratio, 1);
  context.font = "9px system-ui, sans-serif";
  row.series.forEach(([, style, title], number) => {
    const y = row.top + 7 + number * 10.5;
    context.fillStyle = PALETTE[style];
    context.fillRect(50, y - 3, 6, 6);
    context.fillStyle = PALETTE.quiet;
    context.fillText(title, 60, y + 0.5);
  });
  for (const [column, style] of row.series) {
    context.fillStyle = PALETTE[style];
    drawCurve(context, track.get(column), row, columns, plot, ratio, style === "sky" ? 1 : 1.6);
  }
}

/** A column of pixels from the lowest to the highest value, joined to the value before it. */
function drawCurve(context, values, row, { first, end }, plot, ratio, thickness) {
  const y = (value) => row.top + ((1 - value) / 2) * (row.height - 2) + 1;
  let last = NaN;
  for (let column = 0; column < plot; column++) {
    let low = Infinity;
    let high = -Infinity;
    for (let frame = first[column]; frame < end[column]; frame++) {
      const value = values[frame];
      if (value < low) low = value;
      if (value > high) high = value;
    }
    if (high === -Infinity) {
      last = NaN;
      continue;
    }
    const next = values[end[column] - 1];
    if (!Number.isNaN(last)) {
      low = Math.min(low, last);
      high = Math.max(high, last);
    }
    last = next;
    const top = y(high) - thickness / 2;
    context.fillRect(LEFT + column / ratio, top, 1 / ratio, Math.max(thickness, y(low) - top + thickness / 2));
  }
}

function drawCells(context, row, track, columns, plot, ratio) {
  const image = new ImageData(plot, 1);
  const pixels = image.data;
  const paint = cellPainter(row, track, columns);
  for (let column = 0; column < plot; column++) paint(column, pixels, 4 * column);
  const cells = new OffscreenCanvas(plot, 1);
  cells.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(cells, LEFT, row.top, plot / ratio, row.height);
  if (row.kind === "unit" && track.has(row.label)) drawLabelledUnits(context, row, track, columns, plot, ratio);
}

function cellPainter(row, track, { first, end }) {
  const put = (pixels, place, [red, green, blue]) => {
    pixels[place] = red; pixels[place + 1] = green; pixels[place + 2] = blue; pixels[place + 3] = 255;
  };
  if (row.kind === "unit") {
    const values = track.get(row.column);
    if (!values) return () => {};
    return (column, pixels, place) => {
      let high = -1;
      for (let frame = first[column]; frame < end[column]; frame++) if (values[frame] > high) high = values[frame];
      if (high < 0) return;
      const level = 3 * Math.round(255 * high);
      put(pixels, place, [HEAT[level], HEAT[level + 1], HEAT[level + 2]]);
    };
  }
  if (row.kind === "strip") {
    const values = track.get(row.column);
    const inks = view.expressions.map((title) => rgb(EXPRESSION_COLOURS[title]));
    const counts = new Int32Array(view.expressions.length);
    return (column, pixels, place) => { // the most frequent one
      counts.fill(0);
      let best = -1;
      for (let frame = first[column]; frame < end[column]; frame++) {
        const value = values[frame];
        if (value >= 0 && (++counts[value] > (best < 0 ? 0 : counts[best]))) best = value;
      }
      if (best >= 0) put(pixels, place, inks[best]);
    };
  }
  const status = track.get("status");
  const inks = { ok: null, no_face: rgb(PALETTE.grey), interpolated: rgb(PALETTE.sky), decode_error: rgb(PALETTE.red) };
  const rank = { ok: 0, interpolated: 2, no_face: 1, decode_error: 4 };
  const doubtful = doubtfulFrames(track);
  return (column, pixels, place) => { // the worst one
    let worst = "ok";
    let isDoubtful = false;
    for (let frame = first[column]; frame < end[column]; frame++) {
      const word = view.statuses[status[frame]];
      if (rank[word] > rank[worst]) worst = word;
      isDoubtful = isDoubtful || (doubtful && doubtful[frame] === 1);
    }
    const ink = inks[worst] || (isDoubtful ? rgb(PALETTE.yellow) : null);
    if (ink) put(pixels, place, ink);
  };
}

function doubtfulFrames(track) {
  if (!track.doubts.length) return null;
  const marked = new Uint8Array(numFrames);
  for (const doubt of track.doubts) for (const [from, to] of doubt.frames) marked.fill(1, from, to);
  return marked;
}

/** A line under the cells where the unit is labelled as active. */
function drawLabelledUnits(context, row, track, { first, end }, plot, ratio) {
  const values = track.get(row.label);
  context.fillStyle = PALETTE.orange;
  let start = -1;
  for (let column = 0; column <= plot; column++) {
    let isActive = false;
    if (column < plot)
      for (let frame = first[column]; frame < end[column] && !isActive; frame++) isActive = values[frame] === 1;
    if (isActive && start < 0) start = column;
    if (!isActive && start >= 0) {
      context.fillRect(LEFT + start / ratio, row.top + row.height - 2.5, (column - start) / ratio, 2.5);
      start = -1;
    }
  }
}

function drawAxis(context, width, height) {
  const wanted = (span.to - span.from) / ((width - LEFT - RIGHT) / 90);
  const step = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600].find((s) => s >= wanted) || 7200;
  context.font = "10px system-ui, sans-serif";
  context.fillStyle = PALETTE.quiet;
  context.textAlign = "center";
  for (let tick = Math.ceil(span.from / step); tick * step <= span.to; tick++) {
    const x = LEFT + ((tick * step - span.from) / (span.to - span.from)) * (width - LEFT - RIGHT);
    context.fillRect(x, height - AXIS + 2, 1, 4);
    if (x < width - 24) context.fillText(clock(tick * step, step < 1 ? 2 : 0), x, height - 5);
  }
  context.textAlign = "left";
}

function clock(seconds, digits) {
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds - 60 * minutes).toFixed(digits).padStart(digits ? 3 + digits : 2, "0")}`;
}

function drawCursor() {
  const { context, width, height } = fit(cursor);
  context.clearRect(0, 0, width, height);
  if (player.shown < 0) return;
  const x = LEFT + ((times[player.shown] - span.from) / (span.to - span.from)) * (width - LEFT - RIGHT);
  if (x < LEFT - 1 || x > width - RIGHT + 1) return;
  context.fillStyle = PALETTE.text;
  context.fillRect(x - 0.75, 0, 1.5, height - AXIS + 6);
}

/** Keeps the cursor in sight of a zoomed view. */
function follow(frame) {
  const length = span.to - span.from;
  if (times[frame] >= span.from && times[frame] <= span.to) return;
  setSpan(times[frame] - length * 0.1, length);
}

function setSpan(from, length) {
  const bounded = Math.max(SHORTEST_SPAN, Math.min(endTime, length));
  span.from = Math.max(0, Math.min(endTime - bounded, from));
  span.to = span.from + bounded;
  drawCurves();
}

function zoom(factor, middle) {
  const length = Math.max(SHORTEST_SPAN, Math.min(endTime, (span.to - span.from) * factor));
  setSpan(middle - ((middle - span.from) / (span.to - span.from)) * length, length);
}

function timeAtX(clientX) {
  const box = cursor.getBoundingClientRect();
  const share = (clientX - box.left - LEFT) / (box.width - LEFT - RIGHT);
  return span.from + Math.max(0, Math.min(1, share)) * (span.to - span.from);
}

cursor.addEventListener("pointerdown", (event) => {
  cursor.setPointerCapture(event.pointerId);
  video.pause();
  seekTo(frameAt(timeAtX(event.clientX)));
});
cursor.addEventListener("pointermove", (event) => {
  if (event.buttons & 1) seekTo(frameAt(timeAtX(event.clientX)));
});
cursor.addEventListener("wheel", (event) => {
  event.preventDefault();
  const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
  if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY))
    setSpan(span.from + (Math.sign(sideways) * (span.to - span.from)) / 12, span.to - span.from);
  else zoom(event.deltaY > 0 ? 1.25 : 0.8, timeAtX(event.clientX));
}, { passive: false });
