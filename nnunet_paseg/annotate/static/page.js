// The page: the list of cases, the question for the next point, and everything that changes the points.

import { Case, instructionFor, isInside, keyOf, unplaced } from "./case.js";
import { get, imageAddress, post, release, RequestError } from "./requests.js";
import { COLOURS, Viewer } from "./viewer.js";

const IDLE_MS = 30000;
const RENEW_MS = 20000;
const RETRY_MS = 2000;
const LETTERS = { left: "L", right: "R", anterior: "A", posterior: "P", inferior: "I", superior: "S" };
const STATES = { "not begun": "not begun", partial: "partial", done: "done", "no target": "no target", problem: "cannot be used" };

const element = (id) => document.getElementById(id);
const page = sessionStorage.getItem("page") || crypto.getRandomValues(new Uint32Array(4)).join("-");
sessionStorage.setItem("page", page);

const viewer = new Viewer(element("image"), element("markers"));
let overview = { classes: [], channels: [], cases: [], masks: false };
let current = null; // Case
let name = ""; // class
let key = null; // target
let selected = null; // { key, index }
let further = null; // "foreground" or "background"
let records = []; // masks of the last answer
let drawn = null; // records whose masks are in the viewer: drawing them renews a texture
let accepted = false;
let blocked = ""; // why nothing can be changed
let loading = 0;
let saving = null;
let unsaved = false;
let seconds = new Map();
let lastInput = Date.now();

function make(tag, text = "", properties = {}) {
  const made = Object.assign(document.createElement(tag), properties);
  made.textContent = text; // never as HTML: names come from files
  return made;
}

// ---- cases

async function refreshCases() {
  overview = await get("cases");
  showCases();
}

function showCases() {
  const finished = overview.cases.filter((entry) => entry.state === "done" || entry.state === "no target").length;
  element("progress").textContent = `${finished} of ${overview.cases.length} finished`;
  const list = element("cases");
  const hadFocus = list.contains(document.activeElement) && document.activeElement.dataset.case;
  list.replaceChildren(...overview.cases.map((entry) => {
    const button = make("button", entry.case, { type: "button" });
    button.dataset.case = entry.case;
    let state = STATES[entry.state];
    if (entry.targets) state += `, ${entry.targets} target${entry.targets > 1 ? "s" : ""}`;
    if (entry.accepted) state += ", mask accepted";
    if (entry.page && entry.page !== page) state += `, open: ${entry.annotator}`;
    button.append(make("small", state));
    button.title = entry.problem || entry.open.join("\n");
    if (current && current.info.case === entry.case) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => openCase(entry.case));
    const item = make("li");
    item.append(button);
    return item;
  }));
  if (hadFocus) list.querySelector(`[data-case="${CSS.escape(hadFocus)}"]`)?.focus();
}

async function openCase(caseName, force = false) {
  const turn = ++loading;
  await flush();
  if (current && current.info.case !== caseName) leave();
  alertUser("");
  element("loading").textContent = "Loading the image ...";
  let info;
  try {
    info = await post("open", { case: caseName, page, force });
  } catch (error) {
    if (turn === loading) {
      close();
      alertUser(error.message);
      showAll();
    }
    return;
  }
  if (turn !== loading) return;
  current = new Case(info);
  [selected, further, records, accepted, blocked, unsaved] = [null, null, [], info.accepted, "", false];
  seconds = new Map();
  sessionStorage.setItem("case", caseName);
  if (info.holder !== null) block(`This case is open in another page, by ${info.holder}.`, true);
  else if (info.warnings.length) alertUser(info.warnings.join(" "));
  chooseClass(overview.classes.includes(name) ? name : overview.classes[0]);
  try {
    drawn = null;
    await viewer.load(imageAddress(caseName, Number(element("channel").value) || 0), info);
  } catch (error) {
    if (turn === loading) alertUser(`The image cannot be shown: ${error.message}`);
  }
  if (turn !== loading) return;
  element("loading").textContent = "";
  await refreshCases();
  await updateMasks();
  element("image").focus();
}

function leave() {
  if (current && !blocked) release(current.info.case, page, takeSeconds());
}

function close() {
  current = null;
  records = [];
  element("loading").textContent = "";
  if (!viewer.isEmpty) viewer.clear();
}

function neighbour(step, unfinished = false) {
  const cases = overview.cases;
  const here = current ? cases.findIndex((entry) => entry.case === current.info.case) : -step;
  for (let count = 1; count <= cases.length; count++) {
    const entry = cases[(here + step * count + cases.length * count) % cases.length];
    const isOpen = entry.state === "not begun" || entry.state === "partial";
    if (entry.state !== "problem" && (!unfinished || isOpen)) return openCase(entry.case);
  }
  return undefined;
}

// ---- saving

function changed() {
  unsaved = true;
  accepted = false;
  showAll();
  save();
}

function takeSeconds() {
  const entries = [...seconds].map(([target, spent]) => {
    const [className, number] = JSON.parse(target);
    return { class: className, number, seconds: spent };
  });
  seconds = new Map();
  return entries;
}

// One request at a time. What changes meanwhile is saved by the next one.
function save() {
  if (!saving) saving = saveAll().finally(() => { saving = null; });
  return saving;
}

async function saveAll() {
  while (unsaved && !blocked) {
    const open = current;
    const spent = takeSeconds();
    unsaved = false;
    element("saved").textContent = "Saving ...";
    try {
      const content = { case: open.info.case, page, version: open.version, document: open.document, seconds: spent };
      const answer = await post("save", content);
      open.version = answer.version;
      element("saved").textContent = "Saved";
      if (!blocked) alertUser("");
      const entry = overview.cases.find((candidate) => candidate.case === open.info.case);
      Object.assign(entry || {}, { state: answer.state, open: answer.open, accepted: answer.accepted, targets: open.document.targets.length });
      showCases();
    } catch (error) {
      for (const entry of spent) addSeconds(keyOf(entry), entry.seconds);
      unsaved = true;
      element("saved").textContent = "Not saved";
      if (error.status === 409) {
        block(error.message, true);
      } else {
        alertUser(`Not saved. ${error.message}`);
        if (error.status >= 400 && error.status < 500) return;
        await new Promise((resolve) => { setTimeout(resolve, RETRY_MS); });
      }
    }
    if (!unsaved && open === current) await updateMasks();
  }
}

async function flush() {
  if (saving) await saving;
}

async function updateMasks() {
  const open = current;
  if (!open || !open.document.targets.some((target) => unplaced(target) < 0)) {
    if (records.length) records = [];
  } else {
    try {
      const answer = await get("masks", { case: open.info.case });
      if (open !== current || answer.version !== open.version || unsaved) return;
      records = answer.targets;
    } catch (error) {
      if (open === current) alertUser(error.message);
      return;
    }
  }
  if (open === current) showAll();
}

function block(message, canTakeOver) {
  blocked = message;
  alertUser(message, canTakeOver);
  showAll();
}

function alertUser(message, canTakeOver = false) {
  element("alert").hidden = !message;
  element("alert-text").textContent = message;
  element("take-over").hidden = !canTakeOver;
  element("reload-case").hidden = !canTakeOver;
}

// ---- changes

function chooseClass(chosen) {
  name = chosen;
  const targets = current ? current.targetsOf(name) : [];
  const open = targets.find((target) => unplaced(target) >= 0) || targets.at(-1);
  key = open ? keyOf(open) : null;
  [selected, further] = [null, null];
  showAll();
}

// What a click in the image does: { key, index } of the asked point, { place } of a further one, or null.
function asked() {
  if (!current || blocked || current.document.absent.includes(name)) return null;
  const target = key && current.find(key);
  if (!target) return { place: current.info.places[0] };
  if (further) return { place: further };
  if (selected && selected.key === key && target.clicks[selected.index]?.voxel === null) {
    return { index: selected.index, place: target.clicks[selected.index].place };
  }
  const index = unplaced(target);
  return index < 0 ? null : { index, place: target.clicks[index].place };
}

function placeAt(voxel) {
  const next = asked();
  if (!next) return;
  if (!key || !current.find(key)) {
    const made = current.addTarget(name);
    key = made.key;
    const clicks = made.document.targets.at(-1).clicks;
    clicks[0].voxel = voxel;
    current.change(made.document);
  } else if (next.index === undefined) {
    current.addClick(key, next.place, voxel);
    further = null;
  } else {
    current.place(key, next.index, voxel);
  }
  selected = null;
  changed();
}

function move(point, voxel) {
  if (blocked) return;
  current.place(point.key, point.index, voxel);
  changed();
}

function select(point, go = false) {
  selected = point && { key: point.key, index: point.index };
  if (point && point.key !== key) {
    key = point.key;
    name = JSON.parse(point.key)[0];
  }
  further = null;
  showAll();
  const voxel = go && selected && current.find(key).clicks[selected.index].voxel;
  if (voxel) viewer.goTo(voxel);
}

function selectNext(step) {
  const target = current && key && current.find(key);
  if (!target) return;
  const from = selected && selected.key === key ? selected.index : step > 0 ? -1 : 0;
  select({ key, index: (from + step + target.clicks.length) % target.clicks.length }, true);
}

const commands = {
  place() {
    const target = selected && current && current.find(selected.key);
    if (target && target.clicks[selected.index].voxel !== null) {
      move(selected, viewer.crosshairVoxel());
      selected = null;
      showAll();
    } else if (!viewer.isEmpty) {
      placeAt(viewer.crosshairVoxel());
    }
  },
  undo: () => current.undo() && afterUndo(),
  redo: () => current.redo() && afterUndo(),
  deletePoint() {
    if (!selected) return;
    current.deleteClick(selected.key, selected.index);
    selected = null;
    afterUndo();
  },
  deleteTarget() {
    if (!key || !current.find(key)) return;
    current.deleteTarget(key);
    selected = null;
    afterUndo();
  },
  further(place) {
    if (!key || !current.find(key)) return;
    further = further === place ? null : place;
    selected = null;
    showAll();
  },
  newTarget() {
    const open = current.targetsOf(name).find((target) => unplaced(target) >= 0);
    if (open) {
      key = keyOf(open);
      showAll();
      return;
    }
    if (current.document.absent.includes(name)) return;
    const made = current.addTarget(name);
    key = made.key;
    [selected, further] = [null, null];
    current.change(made.document);
    changed();
  },
  absent() {
    if (current.targetsOf(name).length) return;
    current.setAbsent(name, !current.document.absent.includes(name));
    changed();
  },
};

function afterUndo() {
  if (selected && !current.find(selected.key)?.clicks[selected.index]) selected = null;
  if (!key || !current.find(key)) {
    const last = current.targetsOf(name).at(-1);
    key = last ? keyOf(last) : null;
  }
  further = null;
  changed();
}

function run(command, ...args) {
  if (current && !blocked) commands[command](...args);
}

async function accept() {
  if (!current || blocked || !overview.masks) return;
  await flush();
  if (unsaved) return;
  const open = current;
  try {
    await post("accept", { case: open.info.case, page, version: open.version });
    if (open === current) accepted = true;
    await refreshCases();
  } catch (error) {
    alertUser(error.message);
  }
  showAll();
}

// ---- what is shown

function recordOf(target) {
  return records.find((record) => record.class === target.class && record.number === target.number);
}

function isWrong(target, click) {
  const record = click.voxel && recordOf(target);
  return Boolean(record && record.contradictions.some(
    (other) => other.place === click.place && other.voxel.every((index, axis) => index === click.voxel[axis]),
  ));
}

function showAll() {
  const isOpen = Boolean(current);
  element("case-title").textContent = isOpen ? current.info.case : "no case is open";
  document.title = isOpen ? `${current.info.case} - paseg annotate` : "paseg annotate";
  for (const id of ["new-target", "add-inside", "add-outside", "delete-target", "absent", "undo", "redo"]) {
    element(id).disabled = !isOpen || Boolean(blocked);
  }
  if (!isOpen) {
    element("targets").replaceChildren();
    element("instruction").textContent = "Choose a case.";
    return;
  }
  const target = key && current.find(key);
  const isAbsent = current.document.absent.includes(name);
  element("undo").disabled ||= !current.past.length;
  element("redo").disabled ||= !current.future.length;
  element("absent").disabled ||= current.targetsOf(name).length > 0;
  element("absent").setAttribute("aria-pressed", String(isAbsent));
  for (const id of ["add-inside", "add-outside", "delete-target"]) element(id).disabled ||= !target;
  showClasses();
  showInstruction(target, isAbsent);
  showTargets();
  const work = openWork();
  element("accept").hidden = !overview.masks;
  element("accept").disabled = Boolean(blocked) || unsaved || work > 0;
  element("accepted").textContent = accepted ? "The mask is accepted and saved." : "";
  if (drawn !== records && viewer.loaded) {
    viewer.setMasks(records.filter((record) => record.bits).map((record) => (
      { ...record, label: overview.classes.indexOf(record.class) + 1 }
    )));
    drawn = records;
  }
  viewer.setPoints(current.document.targets.flatMap((each) => each.clicks.map((click, index) => ({
    voxel: click.voxel, inside: isInside(click), wrong: isWrong(each, click), key: keyOf(each), index,
    text: LETTERS[click.place] || (isInside(click) ? "in" : "out"),
  }))).filter((point) => point.voxel), selected);
}

function openWork() {
  const clicked = new Set(current.document.targets.map((target) => target.class));
  const classes = overview.classes.filter((each) => !clicked.has(each) && !current.document.absent.includes(each));
  return classes.length + current.document.targets.filter((target) => unplaced(target) >= 0).length;
}

function showClasses() {
  const hadFocus = element("classes").contains(document.activeElement);
  element("classes").replaceChildren(...overview.classes.map((each, index) => {
    const label = make("label");
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "class", value: each, checked: each === name });
    input.addEventListener("change", () => chooseClass(each));
    const swatch = make("span", "", { className: "swatch" });
    swatch.style.background = `rgb(${COLOURS[index % COLOURS.length].join()})`;
    const count = current.targetsOf(each).length;
    const state = current.document.absent.includes(each) ? "absent" : count ? `${count} target${count > 1 ? "s" : ""}` : "not looked for yet";
    label.append(input, swatch, `${each} (${state})`);
    if (hadFocus && each === name) queueMicrotask(() => input.focus());
    return label;
  }));
}

function showInstruction(target, isAbsent) {
  const next = asked();
  let text = blocked;
  if (!blocked && next) text = instructionFor(next.place, name);
  else if (!blocked && isAbsent) text = `There is no ${name} in this case. Next class: c. Next case: n.`;
  else if (!blocked && openWork()) text = `This ${name} has all its points. New target: t. Next class: c.`;
  else if (!blocked && target) text = "All points are placed. Check the mask. Next case: n. New target: t.";
  const box = element("instruction");
  if (box.textContent !== text) box.textContent = text;
  box.classList.toggle("outside", Boolean(next && next.place !== "inside" && next.place !== "foreground"));
}

function showTargets() {
  const list = element("targets");
  const focus = list.contains(document.activeElement) ? document.activeElement.dataset.id : null;
  list.replaceChildren(...current.document.targets.map((target) => {
    const here = keyOf(target);
    const box = make("div", "", { className: here === key ? "target current" : "target" });
    box.append(make("h3", `${target.class} ${target.number}`));
    const record = recordOf(target);
    if (record && record.bits) {
      const volume = make("p", `${record.volume_ml} ml, expected Dice ${record.confidence.toFixed(2)}`);
      volume.className = "volume";
      box.append(volume);
    }
    for (const problem of record ? record.problems : []) box.append(make("p", problem, { className: "problem" }));
    const points = make("ul");
    target.clicks.forEach((click, index) => {
      const button = make("button", click.place, { type: "button" });
      button.dataset.id = `${here} ${index}`;
      const wrong = isWrong(target, click);
      const state = click.voxel ? `voxel ${click.voxel.join(", ")}` : "not placed";
      button.append(make("small", wrong ? `${state}, contradicts the mask` : state, { className: wrong ? "wrong" : "" }));
      button.setAttribute("aria-pressed", String(Boolean(selected && selected.key === here && selected.index === index)));
      button.addEventListener("click", () => select({ key: here, index }, true));
      const item = make("li");
      item.append(button);
      points.append(item);
    });
    box.append(points);
    return box;
  }));
  if (focus) list.querySelector(`[data-id="${CSS.escape(focus)}"]`)?.focus();
}

// ---- input

const KEYS = {
  Enter: () => run("place"),
  " ": () => run("place"),
  z: () => run("undo"),
  y: () => run("redo"),
  Delete: (event) => run(event.shiftKey ? "deleteTarget" : "deletePoint"),
  Backspace: () => run("deletePoint"),
  f: () => run("further", "foreground"),
  b: () => run("further", "background"),
  t: () => run("newTarget"),
  a: () => run("absent"),
  c: () => current && chooseClass(overview.classes[(overview.classes.indexOf(name) + 1) % overview.classes.length]),
  n: () => neighbour(1),
  N: () => neighbour(1, true),
  p: () => neighbour(-1),
  s: () => accept(),
  j: () => selectNext(1),
  k: () => selectNext(-1),
  g: () => selected && select(selected, true),
  m: () => toggleMask(),
  v: () => viewer.set3D(!viewer.show3D),
  h: () => nextChannel(),
  "?": () => element("help").showModal(),
  Escape: () => select(null),
};

const VIEW_KEYS = {
  1: () => viewer.setPlane(0),
  2: () => viewer.setPlane(1),
  3: () => viewer.setPlane(2),
  ArrowLeft: (event) => viewer.step(event.shiftKey ? -10 : -1, 0, 0),
  ArrowRight: (event) => viewer.step(event.shiftKey ? 10 : 1, 0, 0),
  ArrowUp: (event) => viewer.step(0, event.shiftKey ? 10 : 1, 0),
  ArrowDown: (event) => viewer.step(0, event.shiftKey ? -10 : -1, 0),
  PageUp: (event) => viewer.step(0, 0, event.shiftKey ? 10 : 1),
  PageDown: (event) => viewer.step(0, 0, event.shiftKey ? -10 : -1),
  "+": () => viewer.zoom(1.25),
  "=": () => viewer.zoom(1.25),
  "-": () => viewer.zoom(0.8),
  0: () => { viewer.zoom(0); viewer.setWindow(null, null); },
  "[": () => changeWindow(0.8, 0),
  "]": () => changeWindow(1.25, 0),
  ",": () => changeWindow(1, -0.1),
  ".": () => changeWindow(1, 0.1),
};

function onKey(event) {
  if (element("help").open || event.altKey || event.metaKey) return;
  const onControl = event.target.closest("button, input, select");
  if (event.ctrlKey) {
    const control = event.key.toLowerCase();
    if (onControl && onControl.type === "number") return;
    if (control === "z" || control === "y") {
      event.preventDefault();
      run(control === "y" || event.shiftKey ? "redo" : "undo");
    }
    return;
  }
  if (onControl && (event.target.matches("select, input[type=number]") || event.key === "Enter" || event.key === " ")) return;
  if (event.target.matches("input[type=radio]") && event.key.startsWith("Arrow")) return;
  const action = KEYS[event.key] || (viewer.isEmpty ? null : VIEW_KEYS[event.key]);
  if (!action) return;
  event.preventDefault();
  event.stopPropagation();
  action(event);
}

function changeWindow(width, level) {
  const [low, high] = viewer.window();
  const [centre, half] = [(low + high) / 2 + level * (high - low), ((high - low) / 2) * width];
  viewer.setWindow(centre - half, centre + half);
}

function toggleMask() {
  if (!viewer.isEmpty) element("mask-toggle").setAttribute("aria-pressed", String(viewer.toggleMask()));
}

function nextChannel() {
  const list = element("channel");
  list.value = String((Number(list.value) + 1) % overview.channels.length);
  showChannel();
}

async function showChannel() {
  if (!current) return;
  const open = current;
  element("loading").textContent = "Loading the image ...";
  try {
    drawn = null;
    await viewer.load(imageAddress(open.info.case, Number(element("channel").value)), open.info);
  } catch (error) {
    alertUser(`The image cannot be shown: ${error.message}`);
  }
  element("loading").textContent = "";
  if (open === current) showAll();
}

// Seconds of activity go to the target in work. A pause of half a minute ends the activity.
function addSeconds(target, spent) {
  if (target) seconds.set(target, (seconds.get(target) || 0) + spent);
}

function tick() {
  if (!current || blocked || document.hidden || Date.now() - lastInput > IDLE_MS) return;
  addSeconds(key || JSON.stringify([name, 1]), 1);
}

function listen() {
  const on = (id, action) => element(id).addEventListener("click", action);
  on("undo", () => run("undo"));
  on("redo", () => run("redo"));
  on("add-inside", () => run("further", "foreground"));
  on("add-outside", () => run("further", "background"));
  on("new-target", () => run("newTarget"));
  on("delete-target", () => run("deleteTarget"));
  on("absent", () => run("absent"));
  on("accept", accept);
  on("next", () => neighbour(1));
  on("layout", () => viewer.set3D(!viewer.show3D));
  on("mask-toggle", toggleMask);
  on("help-button", () => element("help").showModal());
  on("help-close", () => element("help").close());
  on("take-over", () => openCase(current.info.case, true));
  on("reload-case", () => openCase(current.info.case));
  element("channel").addEventListener("change", showChannel);
  element("window").addEventListener("change", (event) => {
    if (viewer.isEmpty) return;
    const [level, width] = event.target.value.split(",").map(Number);
    if (event.target.value === "auto") viewer.setWindow(null, null);
    else viewer.setWindow(level - width / 2, level + width / 2);
  });
  for (const id of ["low", "high"]) {
    element(id).addEventListener("change", () => {
      const [low, high] = [Number(element("low").value), Number(element("high").value)];
      if (!viewer.isEmpty && high > low) viewer.setWindow(low, high);
    });
  }
  document.addEventListener("keydown", onKey, true);
  // NiiVue has keys of its own, some of which act when they are released.
  document.addEventListener("keyup", (event) => event.target === element("image") && event.stopPropagation(), true);
  for (const kind of ["pointermove", "keydown", "wheel"]) {
    document.addEventListener(kind, () => { lastInput = Date.now(); }, { passive: true, capture: true });
  }
  window.addEventListener("pagehide", leave);
  window.addEventListener("beforeunload", (event) => { if (unsaved || saving) event.preventDefault(); });
  setInterval(tick, 1000);
  setInterval(renew, RENEW_MS);
}

async function renew() {
  if (!current || blocked) return;
  const open = current;
  try {
    await post("renew", { case: open.info.case, page });
  } catch (error) {
    if (open === current && error instanceof RequestError && error.status === 409) block(error.message, true);
  }
}

async function start() {
  listen();
  viewer.onPlace = (voxel) => placeAt(voxel);
  viewer.onMove = move;
  viewer.onSelect = (point) => select(point);
  viewer.onLocation = (voxel, value) => {
    element("location").textContent = `Voxel ${voxel.join(", ")}: ${Number(value?.toPrecision(5))}`;
  };
  viewer.onWindow = (low, high) => {
    element("low").value = Number(low.toPrecision(5));
    element("high").value = Number(high.toPrecision(5));
  };
  await viewer.start();
  await refreshCases();
  element("channel").replaceChildren(...overview.channels.map((each, index) => make("option", each, { value: String(index) })));
  name = overview.classes[0];
  const before = sessionStorage.getItem("case");
  const first = overview.cases.find((entry) => entry.case === before) ||
    overview.cases.find((entry) => (entry.state === "not begun" || entry.state === "partial") && !entry.page) || overview.cases[0];
  window.pasegPage = { viewer, get case() { return current; }, get masks() { return records; } };
  if (first) await openCase(first.case);
  document.body.dataset.ready = "true";
}

start().catch((error) => alertUser(`The page cannot start: ${error.message}`));
