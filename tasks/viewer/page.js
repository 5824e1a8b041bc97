// Puts the parts together: the chosen person, keys, links, and what is redrawn when.

let chosenIndex = Math.max(0, tracks.findIndex((track) => track.track_id === view.track_id));
const chosen = () => tracks[chosenIndex];
const element = (id) => document.getElementById(id);

function sqlOf(track, frame) {
  const quoted = `'${track.track_id.replaceAll("'", "''")}'`;
  const where = `track_id = ${quoted} AND frame_index = ${frame}`;
  if (!view.model) return `SELECT * EXCLUDE face_jpeg FROM frames WHERE ${where}`;
  const versions = [view.model, view.other].filter(Boolean).map((model) => model.version);
  return `SELECT * FROM predictions WHERE model_version ${versions.length > 1 ? `IN (${versions.join(", ")})` : `= ${versions[0]}`} AND ${where}`;
}

function wordsOf(track, frame) {
  const words = STATUS_WORDS[statusOf(track, frame)];
  return doubtsAt(track, frame).length ? `${words}, person doubtful` : words;
}

function drawFrame(frame) {
  if (frame < 0) return;
  drawPicture();
  drawPlane();
  drawBars();
  if (video.paused && player.wanted === null) follow(frame);
  else if (times[frame] > span.to || times[frame] < span.from) follow(frame);
  drawCursor();
  const time = `${clock(times[frame], 3)}`;
  const words = chosen() ? wordsOf(chosen(), frame) : "";
  element("now").textContent = `frame ${frame} of ${numFrames} · ${time} · ${words}`;
  element("sql").textContent = chosen() ? sqlOf(chosen(), frame) : "";
  cursor.setAttribute("aria-valuenow", frame);
  cursor.setAttribute("aria-valuetext", `frame ${frame}, ${time}, ${words}`);
  if (video.paused) keepLink();
}

function redraw() {
  readPalette();
  layTimelines();
  drawFrame(player.shown);
}

const say = (text) => { element("message").textContent = element("message").title = text; };

function choose(index) {
  chosenIndex = index;
  element("person").value = String(index);
  const [doubt] = chosen() ? chosen().doubts : [];
  say(doubt ? `doubtful: ${doubt.text}` : "");
  redraw();
}

const linkOf = (frame) => `#frame=${frame}${chosen() ? `&track=${encodeURIComponent(chosen().track_id)}` : ""}`;

function keepLink() {
  const link = linkOf(player.wanted === null ? player.shown : player.wanted);
  if (player.shown >= 0 && location.hash !== link) history.replaceState(null, "", link);
}

function openLink() {
  const given = new URLSearchParams(location.hash.slice(1));
  const index = tracks.findIndex((track) => track.track_id === given.get("track"));
  if (index >= 0 && index !== chosenIndex) choose(index);
  const frame = Number.parseInt(given.get("frame"), 10);
  if (Number.isInteger(frame) && frame !== player.shown) seekTo(frame);
}

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    say(`${what} copied`);
  } catch {
    say("This browser does not let a page copy; select the text and copy it");
  }
}

const KEYS = {
  ArrowLeft: (event) => step(event.shiftKey ? -Math.max(1, Math.round(1 / medianStep)) : -1),
  ArrowRight: (event) => step(event.shiftKey ? Math.max(1, Math.round(1 / medianStep)) : 1),
  " ": togglePlay,
  n: () => jump(1),
  N: () => jump(-1),
  p: () => tracks.length && choose((chosenIndex + 1) % tracks.length),
  Home: () => step(-numFrames),
  End: () => step(numFrames),
  "+": () => zoom(0.5, times[Math.max(0, player.shown)]),
  "=": () => zoom(0.5, times[Math.max(0, player.shown)]),
  "-": () => zoom(2, times[Math.max(0, player.shown)]),
  0: () => setSpan(0, endTime),
  c: () => copy(element("sql").textContent, "SQL"),
  "?": openHelp,
};

function openHelp() {
  element("help").showModal();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || element("help").open) return;
  const isControl = event.target.closest("button, select");
  if (isControl && ([" ", "Enter"].includes(event.key) || event.target.closest("select"))) return; // its own keys
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act(event);
});

function connect() {
  const person = element("person");
  tracks.forEach((track, index) => {
    const option = document.createElement("option");
    option.value = String(index);
    option.textContent = track.track_id + (track.subject && track.subject !== track.track_id ? ` (same as ${track.subject})` : "")
      + (track.doubts.length ? " – doubtful" : "");
    person.append(option);
  });
  person.addEventListener("change", () => choose(Number(person.value)));
  element("play").addEventListener("click", togglePlay);
  element("back").addEventListener("click", () => step(-1));
  element("forward").addEventListener("click", () => step(1));
  element("jump").addEventListener("click", (event) => jump(event.shiftKey ? -1 : 1));
  element("keys").addEventListener("click", openHelp);
  element("copy").addEventListener("click", () => copy(element("sql").textContent, "SQL"));
  element("link").addEventListener("click", () => copy(location.href.split("#")[0] + linkOf(player.shown), "Link"));
  picture.addEventListener("click", togglePlay);
  for (const event of ["play", "pause", "ended"])
    video.addEventListener(event, () => {
      element("play").textContent = video.paused ? "Play" : "Pause";
      if (video.paused) drawFrame(player.shown);
    });
  cursor.setAttribute("aria-valuemax", numFrames - 1);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  new ResizeObserver(() => { drawCurves(); drawFrame(player.shown); }).observe(document.body);
  window.addEventListener("hashchange", openLink);
  player.onShown.push(drawFrame);
}

connect();
readPalette();
choose(chosenIndex);
openLink();
startVideo();
