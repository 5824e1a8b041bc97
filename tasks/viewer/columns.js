// The data beside the page: text -> typed arrays, one value a frame, NaN where there is none.

const ARRAYS = { u1: Uint8Array, i2: Int16Array, f8: Float64Array };

function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

function wholeNumbers(column) {
  return new ARRAYS[column.kind](bytesOf(column.data).buffer);
}

function numbersOf(column) {
  const whole = wholeNumbers(column);
  if (column.kind === "f8") return whole;
  const numbers = new Float32Array(whole.length);
  for (let i = 0; i < whole.length; i++) numbers[i] = whole[i] === column.missing ? NaN : whole[i] * column.step;
  return numbers;
}

/** A person: `get(name)` is a column, decoded when it is first used, or null if there is none. */
function makeTrack(given, index) {
  const decoded = new Map();
  const get = (name) => {
    if (!decoded.has(name)) decoded.set(name, given.columns[name] ? numbersOf(given.columns[name]) : null);
    const column = decoded.get(name);
    if (column && given.columns[name]) given.columns[name].data = ""; // the text is not needed twice
    return column;
  };
  const first = (...names) => names.find((name) => given.columns[name]) || null;
  return { ...given, index, get, has: (name) => Boolean(given.columns[name]), first };
}

/** First index whose value is larger than the given one, in an increasing array. */
function upperBound(array, value) {
  let low = 0;
  let high = array.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (array[middle] > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

const view = window.VIEW;
const times = numbersOf(view.times);
const numFrames = times.length;
const tracks = view.tracks.map(makeTrack);
const medianStep = (() => {
  const steps = Float64Array.from(times.subarray(1), (time, i) => time - times[i]).sort();
  return steps.length ? steps[steps.length >> 1] : 0.04;
})();
const endTime = times[numFrames - 1] + medianStep;

/** The frame that is on the screen at a time: the last one that has begun. */
function frameAt(time) {
  return Math.max(0, upperBound(times, time) - 1);
}

/** The frame whose own time is nearest. */
function nearestFrame(time) {
  const after = Math.min(numFrames - 1, upperBound(times, time));
  const before = Math.max(0, after - 1);
  return time - times[before] <= times[after] - time ? before : after;
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const PALETTE = { };
function readPalette() {
  for (const name of ["back", "panel", "text", "quiet", "line", "blue", "sky", "orange", "green", "purple", "red", "yellow", "grey"])
    PALETTE[name] = colour(name);
}
const EXPRESSION_COLOURS = {
  neutral: "#9a9a9a", anger: "#d55e00", disgust: "#009e73", fear: "#cc79a7", happiness: "#f0e442", sadness: "#0072b2",
  surprise: "#56b4e9", other: "#e69f00",
};
const PERSON_COLOURS = ["#56b4e9", "#e69f00", "#cc79a7", "#f0e442", "#009e73", "#d55e00", "#0072b2"];
const personColour = (track) => PERSON_COLOURS[track.index % PERSON_COLOURS.length];

/** Makes a canvas as fine as the screen; returns its context in CSS pixels, with width and height. */
function fit(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return { context, width, height };
}
