// The picture with boxes, names and landmarks. Picture and marks are drawn on one canvas at the same moment, so that
// the marks are always those of the frame under them.

const picture = document.getElementById("picture");
const STATUS_WORDS = {
  ok: "face found", no_face: "no face", interpolated: "interpolated between its neighbours",
  decode_error: "damaged: could not be decoded",
};

const statusOf = (track, frame) => view.statuses[track.get("status")[frame]];

function doubtsAt(track, frame) {
  return track.doubts.filter((doubt) => !doubt.frames.length || doubt.frames.some(([from, to]) => from <= frame && frame < to));
}

function drawPicture() {
  if (video.readyState < 2 && player.shown >= 0) return; // on the way to another frame: the last picture stays
  const { context, width, height } = fit(picture);
  context.fillStyle = "#000";
  context.fillRect(0, 0, width, height);
  const scale = Math.min(width / view.width_px, height / view.height_px);
  const place = { x: (width - view.width_px * scale) / 2, y: (height - view.height_px * scale) / 2, scale };
  const frame = player.shown;
  if (frame < 0) return;
  context.drawImage(video, place.x, place.y, view.width_px * scale, view.height_px * scale);
  if (tracks.some((track) => statusOf(track, frame) === "decode_error")) banner(context, place, "damaged frame: not decoded");
  for (const track of tracks) if (track !== chosen()) drawPerson(context, place, track, frame);
  if (chosen()) drawPerson(context, place, chosen(), frame);
}

function drawPerson(context, place, track, frame) {
  if (!track.has("x")) return;
  const x = track.get("x")[frame];
  if (Number.isNaN(x)) return;
  const status = statusOf(track, frame);
  const isDoubtful = doubtsAt(track, frame).length > 0;
  const isChosen = track === chosen();
  const left = place.x + x * place.scale;
  const top = place.y + track.get("y")[frame] * place.scale;
  const width = track.get("w")[frame] * place.scale;
  const height = track.get("h")[frame] * place.scale;
  const dashes = status === "interpolated" ? [7, 5] : isDoubtful ? [2, 3] : [];
  outlined(context, personColour(track), isChosen ? 2.5 : 1.5, dashes, () => context.strokeRect(left, top, width, height));
  const marks = [status === "interpolated" ? "interpolated" : "", isDoubtful ? "doubtful" : ""].filter(Boolean);
  name(context, marks.length ? `${track.track_id} (${marks.join(", ")})` : track.track_id, left, top, personColour(track));
  if (!track.has("landmark_0")) return;
  for (let point = 0; point < 10; point += 2) {
    const pointX = place.x + track.get(`landmark_${point}`)[frame] * place.scale;
    const pointY = place.y + track.get(`landmark_${point + 1}`)[frame] * place.scale;
    if (Number.isNaN(pointX)) continue;
    context.beginPath();
    context.arc(pointX, pointY, isChosen ? 3 : 2, 0, 7);
    context.fillStyle = personColour(track);
    context.strokeStyle = "#000";
    context.lineWidth = 1;
    context.fill();
    context.stroke();
  }
}

function outlined(context, style, width, dashes, draw) {
  context.setLineDash([]);
  context.strokeStyle = "#000";
  context.lineWidth = width + 2;
  if (!dashes.length) draw();
  context.setLineDash(dashes);
  context.strokeStyle = style;
  context.lineWidth = width;
  draw();
  context.setLineDash([]);
}

function name(context, text, left, top, style) {
  context.font = "600 12px system-ui, sans-serif";
  const width = context.measureText(text).width + 8;
  const above = top >= 17 ? top - 17 : top;
  context.fillStyle = style;
  context.fillRect(left, above, width, 16);
  context.fillStyle = "#000";
  context.textBaseline = "middle";
  context.fillText(text, left + 4, above + 8.5);
}

function banner(context, place, text) {
  context.font = "600 13px system-ui, sans-serif";
  const width = context.measureText(text).width + 16;
  context.fillStyle = "#d55e00";
  context.fillRect(place.x, place.y, width, 22);
  context.fillStyle = "#000";
  context.textBaseline = "middle";
  context.fillText(text, place.x + 8, place.y + 11.5);
}
