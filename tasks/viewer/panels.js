// The chosen person at this frame: the point of valence and arousal, and bars of expressions and action units.

const TAIL_S = 3;
const valenceOf = (track) => track.first("smoothed_valence", "valence");
const arousalOf = (track) => track.first("smoothed_arousal", "arousal");
const at = (track, column, frame) => (column && track.has(column) ? track.get(column)[frame] : NaN);

function drawPlane() {
  const canvas = document.getElementById("plane");
  const track = chosen();
  canvas.hidden = !track || !(track.has("valence") || track.has("label_valence"));
  if (canvas.hidden) return;
  const { context, width, height } = fit(canvas);
  context.clearRect(0, 0, width, height);
  const side = Math.min(width - 26, height - 66);
  const left = (width - side) / 2;
  const top = 22;
  const x = (valence) => left + ((valence + 1) / 2) * side;
  const y = (arousal) => top + ((1 - arousal) / 2) * side;
  context.strokeStyle = PALETTE.line;
  context.lineWidth = 1;
  context.strokeRect(left, top, side, side);
  context.beginPath();
  context.arc(x(0), y(0), side / 2, 0, 7);
  context.moveTo(x(-1), y(0)); context.lineTo(x(1), y(0));
  context.moveTo(x(0), y(-1)); context.lineTo(x(0), y(1));
  context.stroke();
  context.fillStyle = PALETTE.quiet;
  context.font = "11px system-ui, sans-serif";
  context.textBaseline = "middle";
  context.textAlign = "center";
  context.fillText("arousal +1", x(0), top - 9);
  context.textAlign = "right";
  context.fillText("valence +1", x(1) - 3, y(0) - 8);
  context.textAlign = "left";
  const frame = player.shown;
  if (frame < 0) return;
  const series = [
    ["other_valence", "other_arousal", "purple", "second model"],
    ["label_valence", "label_arousal", "orange", "label"],
    [valenceOf(track), arousalOf(track), "blue", "model"],
  ];
  let line = 0;
  for (const [valence, arousal, style, title] of series) {
    if (!valence || !track.has(valence)) continue;
    drawTail(context, track.get(valence), track.get(arousal), frame, x, y, PALETTE[style]);
    const v = at(track, valence, frame);
    const a = at(track, arousal, frame);
    context.fillStyle = PALETTE[style];
    const row = top + side + 12 + 14 * line++;
    context.fillRect(left, row - 4, 9, 9);
    context.fillStyle = PALETTE.text;
    context.fillText(Number.isNaN(v) ? `${title}: none` : `${title}: ${signed(v)}, ${signed(a)}`, left + 14, row + 1);
  }
}

const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2);

function drawTail(context, valence, arousal, frame, x, y, style) {
  const first = Math.max(0, upperBound(times, times[frame] - TAIL_S));
  context.strokeStyle = context.fillStyle = style;
  context.lineWidth = 2;
  for (let i = first + 1; i <= frame; i++) {
    if (Number.isNaN(valence[i]) || Number.isNaN(valence[i - 1])) continue;
    context.globalAlpha = 0.1 + (0.7 * (i - first)) / (frame - first);
    context.beginPath();
    context.moveTo(x(valence[i - 1]), y(arousal[i - 1]));
    context.lineTo(x(valence[i]), y(arousal[i]));
    context.stroke();
  }
  context.globalAlpha = 1;
  if (Number.isNaN(valence[frame])) return;
  context.beginPath();
  context.arc(x(valence[frame]), y(arousal[frame]), 6, 0, 7);
  context.fill();
  context.strokeStyle = PALETTE.back;
  context.stroke();
}

/** Rows of bars: their title, value, and the marks of the decision, the label and the second model. */
function barRows(track, frame) {
  const rows = [];
  const expression = at(track, track.first("decided_expression", "expression"), frame);
  const labelled = at(track, "label_expression", frame);
  view.expressions.forEach((title, number) => {
    if (!track.has(`p_${title}`) && labelled !== number) return;
    rows.push({
      title, style: EXPRESSION_COLOURS[title], value: at(track, `p_${title}`, frame), isChosen: expression === number,
      label: Number.isNaN(labelled) ? NaN : Number(labelled === number), other: at(track, `other_p_${title}`, frame),
    });
  });
  const numExpressions = rows.length;
  for (const { name: unit, title } of view.units) {
    if (!track.has(unit) && !track.has(`label_${unit}`)) continue;
    const decided = at(track, `decided_${unit}`, frame);
    const value = at(track, unit, frame);
    rows.push({
      title, style: PALETTE.blue, value, isChosen: Number.isNaN(decided) ? value > 0.5 : decided === 1,
      label: at(track, `label_${unit}`, frame), other: at(track, `other_${unit}`, frame),
    });
  }
  return { rows, numExpressions };
}

function drawBars() {
  const canvas = document.getElementById("bars");
  const track = chosen();
  const { rows, numExpressions } = track && player.shown >= 0 ? barRows(track, player.shown) : { rows: [], numExpressions: 0 };
  canvas.hidden = !rows.length;
  if (canvas.hidden) return;
  const { context, width, height } = fit(canvas);
  context.clearRect(0, 0, width, height);
  const rowHeight = Math.min(20, (height - 26) / rows.length);
  const left = 148;
  const length = width - left - 46;
  const bar = Math.max(3, rowHeight * 0.62);
  context.textBaseline = "middle";
  rows.forEach((row, number) => {
    const y = 8 + rowHeight * (number + 0.5) + (number >= numExpressions && numExpressions ? 6 : 0);
    context.font = `${row.isChosen ? "700" : "400"} ${Math.max(9, Math.min(11.5, rowHeight - 1.5))}px system-ui, sans-serif`;
    context.fillStyle = PALETTE.text;
    context.fillText(row.title, 6, y, left - 12);
    context.fillStyle = PALETTE.line;
    context.fillRect(left, y - 0.5, length, 1);
    if (!Number.isNaN(row.value)) {
      context.globalAlpha = row.isChosen ? 1 : 0.55;
      context.fillStyle = row.style;
      context.fillRect(left, y - bar / 2, length * row.value, bar);
      context.globalAlpha = 1;
      context.fillStyle = PALETTE.text;
      context.fillText(row.value.toFixed(2), left + length + 12, y);
    }
    if (!Number.isNaN(row.other)) {
      context.fillStyle = PALETTE.purple;
      context.fillRect(left + length * row.other - 1.5, y - bar / 2 - 1, 3, bar + 2);
    }
    if (row.label === 1) diamond(context, left + length + 5, y, Math.min(4.5, bar / 2 + 1));
  });
  context.font = "10px system-ui, sans-serif";
  context.fillStyle = PALETTE.quiet;
  const notes = ["bold: decided"];
  if (rows.some((row) => !Number.isNaN(row.label))) notes.push("◆ labelled");
  if (rows.some((row) => !Number.isNaN(row.other))) notes.push("| second model");
  context.fillText(notes.join("   "), 6, height - 7);
}

function diamond(context, x, y, size) {
  context.fillStyle = PALETTE.orange;
  context.beginPath();
  context.moveTo(x, y - size); context.lineTo(x + size, y); context.lineTo(x, y + size); context.lineTo(x - size, y);
  context.fill();
}
