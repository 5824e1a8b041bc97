// Places to check: doubts, stretches that are not `ok`, and the largest disagreements with the labels or a second model.

const MOST_PEAKS = 15;
const LEAST_DISAGREEMENT = 0.3;
const APART_S = Math.max(1, endTime / 60);
const jumpsOf = new Map();

function jumps(track) {
  if (!jumpsOf.has(track)) {
    const found = [...doubtJumps(track), ...statusJumps(track), ...peaks(track, "label_", "label"), ...peaks(track, "other_", "second model")];
    jumpsOf.set(track, found.sort((one, other) => one.frame - other.frame));
  }
  return jumpsOf.get(track);
}

function doubtJumps(track) {
  return track.doubts.flatMap((doubt) =>
    (doubt.frames.length ? doubt.frames : [[0, numFrames]]).map(([frame]) => ({ frame, reason: `doubtful: ${doubt.text}` })));
}

function statusJumps(track) {
  const status = track.get("status");
  const found = [];
  for (let frame = 0; frame < numFrames; frame++)
    if (status[frame] !== 0 && (frame === 0 || status[frame] !== status[frame - 1]))
      found.push({ frame, reason: STATUS_WORDS[view.statuses[status[frame]]] });
  return found;
}

/** The largest disagreements, at least a second apart. */
function peaks(track, prefix, title) {
  const valence = valenceOf(track);
  const pairs = [];
  if (valence && track.has(`${prefix}valence`)) {
    pairs.push([track.get(valence), track.get(`${prefix}valence`), "valence"]);
    pairs.push([track.get(arousalOf(track)), track.get(`${prefix}arousal`), "arousal"]);
  }
  const expression = track.first("decided_expression", "expression");
  const other = track.first(`${prefix}decided_expression`, `${prefix}expression`);
  const choices = expression && other ? [track.get(expression), track.get(other)] : null;
  const apart = new Float32Array(numFrames);
  for (let frame = 0; frame < numFrames; frame++) {
    for (const [mine, theirs] of pairs) {
      const difference = Math.abs(mine[frame] - theirs[frame]);
      if (difference > apart[frame]) apart[frame] = difference;
    }
    if (choices && choices[0][frame] >= 0 && choices[1][frame] >= 0 && choices[0][frame] !== choices[1][frame]) apart[frame] += 0.5;
  }
  const order = Uint32Array.from(apart.keys()).filter((frame) => apart[frame] >= LEAST_DISAGREEMENT);
  order.sort((one, another) => apart[another] - apart[one]);
  const taken = [];
  for (const frame of order) {
    if (taken.length === MOST_PEAKS) break;
    if (taken.every((earlier) => Math.abs(times[earlier] - times[frame]) >= APART_S)) taken.push(frame);
  }
  return taken.map((frame) => ({ frame, reason: describe(frame, pairs, choices, title) }));
}

function describe(frame, pairs, choices, title) {
  const words = pairs.filter(([mine, theirs]) => Math.abs(mine[frame] - theirs[frame]) >= LEAST_DISAGREEMENT)
    .map(([mine, theirs, name]) => `${name} ${signed(mine[frame])}, ${title} ${signed(theirs[frame])}`);
  if (choices && choices[0][frame] >= 0 && choices[1][frame] >= 0 && choices[0][frame] !== choices[1][frame])
    words.push(`${view.expressions[choices[0][frame]]}, ${title} ${view.expressions[choices[1][frame]]}`);
  return words.join("; ");
}

function jump(direction) {
  const found = jumps(chosen());
  if (!found.length) return say("Nothing to check: no doubts, gaps or large disagreements");
  const now = player.wanted === null ? player.shown : player.wanted;
  const index = direction > 0
    ? found.findIndex(({ frame }) => frame > now)
    : found.findLastIndex(({ frame }) => frame < now);
  const number = index >= 0 ? index : direction > 0 ? 0 : found.length - 1;
  video.pause();
  seekTo(found[number].frame);
  const together = found.filter(({ frame }) => frame === found[number].frame).map(({ reason }) => reason);
  say(`${number + 1} of ${found.length}: ${together.join("; ")}`);
}
