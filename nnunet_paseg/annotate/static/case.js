// The points of the open case, with undo and redo without end. Every change makes a new document.

export const SIDES = ["left", "right", "anterior", "posterior", "inferior", "superior"];
const INSIDE = ["inside", "foreground"];

export const isInside = (click) => INSIDE.includes(click.place);

export class Case {
  constructor(info) {
    this.info = info;
    this.document = info.document;
    this.version = info.version;
    this.past = [];
    this.future = [];
  }

  change(document) {
    this.past.push(this.document);
    this.future = [];
    this.document = document;
  }

  undo() {
    if (!this.past.length) return false;
    this.future.push(this.document);
    this.document = this.past.pop();
    return true;
  }

  redo() {
    if (!this.future.length) return false;
    this.past.push(this.document);
    this.document = this.future.pop();
    return true;
  }

  find(key) {
    return this.document.targets.find((target) => keyOf(target) === key);
  }

  targetsOf(name) {
    return this.document.targets.filter((target) => target.class === name);
  }

  // The new target has all its points, none of them placed.
  addTarget(name) {
    const numbers = this.targetsOf(name).map((target) => target.number);
    const clicks = this.info.places.map((place) => ({ place, voxel: null, position: null }));
    const target = { class: name, number: Math.max(0, ...numbers) + 1, clicks };
    const absent = this.document.absent.filter((other) => other !== name);
    return { document: { targets: [...this.document.targets, target], absent }, key: keyOf(target) };
  }

  withClicks(key, clicks) {
    const targets = this.document.targets
      .map((target) => (keyOf(target) === key ? { ...target, clicks } : target))
      .filter((target) => target.clicks.length);
    return { ...this.document, targets };
  }

  place(key, index, voxel) {
    const clicks = this.find(key).clicks.slice();
    clicks[index] = { ...clicks[index], voxel, position: null };
    this.change(this.withClicks(key, clicks));
  }

  addClick(key, place, voxel) {
    this.change(this.withClicks(key, [...this.find(key).clicks, { place, voxel, position: null }]));
  }

  // One of the seven points is asked for again, a further one is gone.
  deleteClick(key, index) {
    const clicks = this.find(key).clicks.slice();
    if (this.info.places.includes(clicks[index].place)) {
      clicks[index] = { ...clicks[index], voxel: null, position: null };
    } else {
      clicks.splice(index, 1);
    }
    this.change(this.withClicks(key, clicks));
  }

  deleteTarget(key) {
    this.change({ ...this.document, targets: this.document.targets.filter((target) => keyOf(target) !== key) });
  }

  setAbsent(name, absent) {
    const others = this.document.absent.filter((other) => other !== name);
    this.change({ ...this.document, absent: absent ? [...others, name] : others });
  }
}

export const keyOf = (target) => JSON.stringify([target.class, target.number]);

export const unplaced = (target) => target.clicks.findIndex((click) => click.voxel === null);

export function instructionFor(place, name) {
  if (place === "inside") return `Click in the middle of the ${name}.`;
  if (place === "foreground") return `Click a further point inside the ${name}.`;
  if (place === "background") return `Click a further point outside the ${name}.`;
  const of = place === "left" || place === "right" ? `on the patient's ${place}` : `at its ${place} end`;
  return `Click just outside the ${name}, ${of}.`;
}
