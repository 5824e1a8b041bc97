// Which frame is on the screen, and how to get to another one.
//
// Frames have times, not a rate. Browsers tell the time of the frame that they show (`mediaTime`), counted from the
// start of the file; the first frame may be shown later than that, and browsers differ in how they count then. So the
// time of the first frame is measured when it is shown, before anything else is.

const video = document.getElementById("video");
const hasFrameTimes = "requestVideoFrameCallback" in HTMLVideoElement.prototype;
const FIRST_FRAME_WAIT_MS = 4000;
const NUDGE_MS = 150;
const MOST_NUDGES = 40;

const UNPUSHED = {
  nudges: 0, // how often the same seek was repeated
  isAgain: false, // whether it was repeated unchanged, since the browser told of no frame
  push: 0, // what a repeated seek adds, in seconds
  tooEarly: -Infinity, // what it added when an earlier frame was shown
  tooLate: Infinity,
};
const player = {
  ...UNPUSHED,
  shown: -1, // the frame on the screen
  wanted: null, // the frame that a seek is under way to
  firstTime: null, // of the first frame, in the player's time
  isSeeking: false,
  seekingTo: null,
  isTold: false, // whether the browser told of a frame since the seek
  onShown: [], // called with the frame
};

function setShown(frame) {
  player.shown = frame;
  if (player.wanted === frame && !video.seeking) player.wanted = null;
  for (const call of player.onShown) call(frame);
}

function onVideoFrame(now, facts) {
  player.isTold = true;
  if (player.firstTime === null) startAt(facts.mediaTime);
  setShown(nearestFrame(facts.mediaTime - player.firstTime));
  video.requestVideoFrameCallback(onVideoFrame);
}

/** For browsers that do not tell the time of the shown frame. */
function onTick() {
  const frame = frameAt(video.currentTime - player.firstTime + 1e-4);
  if (frame !== player.shown && !video.seeking) setShown(frame);
  if (!video.paused) requestAnimationFrame(onTick);
}

function startAt(time) {
  player.firstTime = time;
  if (player.wanted !== null) issueSeek();
}

function seekTo(frame) {
  player.wanted = Math.max(0, Math.min(numFrames - 1, frame));
  if (player.firstTime !== null && !player.isSeeking) issueSeek();
}

function issueSeek() {
  if (player.wanted === player.shown && !video.seeking && video.paused) {
    setShown(player.shown);
    return;
  }
  player.isSeeking = true;
  if (player.seekingTo !== player.wanted) Object.assign(player, UNPUSHED);
  player.isTold = false;
  player.seekingTo = player.wanted;
  const { start, length } = stretchOf(player.wanted);
  video.currentTime = Math.max(0, player.firstTime + start + length / 2 + player.push);
}

/** When a frame is shown and for how long; the last one at most to the end of the file. */
function stretchOf(frame) {
  const start = times[frame];
  if (frame + 1 < numFrames) return { start, length: times[frame + 1] - start };
  const left = video.duration - player.firstTime - start;
  return { start, length: Number.isFinite(left) ? Math.min(medianStep, Math.max(left, 1e-4)) : medianStep };
}

/**
 * Seeks again if another frame than the wanted one is shown. Chromium takes each frame to last as long as the others,
 * so a frame that follows closely on another is found later than it is; and its first seek of all may show nothing.
 */
function nudge() {
  if (player.isSeeking || player.wanted === null || player.shown === player.wanted || !video.paused) return;
  if (++player.nudges <= MOST_NUDGES) {
    player.isAgain = !player.isTold && !player.isAgain;
    if (!player.isAgain) push();
    issueSeek();
    return;
  }
  say(`This browser does not show frame ${player.wanted}`); // so the page goes on with the frame that is shown
  player.wanted = null;
  setShown(player.shown);
}

/** Moves the next seek, between what was too early and what was too late. */
function push() {
  const isEarly = player.shown < player.wanted;
  if (isEarly) player.tooEarly = player.push;
  else player.tooLate = player.push;
  const { length } = stretchOf(player.wanted);
  if (player.tooLate - player.tooEarly < length / 50) { // something was shown late; anew
    Object.assign(player, { push: 0, tooEarly: -Infinity, tooLate: Infinity });
    return;
  }
  const middle = (player.tooEarly + player.tooLate) / 2;
  const stride = Math.max(length / 4, medianStep / 3);
  player.push = Number.isFinite(middle) ? middle : player.push + (isEarly ? stride : -stride);
}

video.addEventListener("seeked", () => {
  player.isSeeking = false;
  if (player.wanted !== null && player.wanted !== player.seekingTo) issueSeek(); // a later wish came meanwhile
  else if (!hasFrameTimes) onTick();
  else if (player.shown === player.wanted) setShown(player.shown);
  else if (player.wanted !== null) setTimeout(nudge, NUDGE_MS);
});

/** Steps from the frame that was asked for last, so that fast presses are not lost. */
function step(number) {
  video.pause();
  seekTo((player.wanted === null ? player.shown : player.wanted) + number);
}

function togglePlay() {
  if (!video.paused) video.pause();
  else {
    player.wanted = null;
    video.play().catch((error) => showProblem(`The video does not play: ${error.message}`));
  }
}

function showProblem(text) {
  const problem = document.getElementById("problem");
  problem.textContent = text;
  problem.hidden = false;
}

function startVideo() {
  video.addEventListener("error", () =>
    showProblem(`This browser cannot play ${view.file}: ${video.error ? video.error.message : "unknown"}`));
  if (hasFrameTimes) {
    video.requestVideoFrameCallback(onVideoFrame);
    // a hidden page shows no frame; what the file says is used then
    video.addEventListener("loadeddata", () => setTimeout(() => {
      if (player.firstTime === null && document.visibilityState === "visible") startAt(view.first_frame_s);
    }, FIRST_FRAME_WAIT_MS));
  } else {
    video.addEventListener("loadeddata", () => { startAt(view.first_frame_s); onTick(); });
    video.addEventListener("play", onTick);
  }
  video.src = view.file;
}
