// The image: NiiVue with three planes and 3D, the mask as its drawing layer, and the points on a canvas above it.

/* global niivue */

const PLANES = ["axial", "coronal", "sagittal"];
const NORMAL = [2, 1, 0]; // axis of the upright image across each plane
const KEY_AXES = [[0, 1], [0, 2], [1, 2]]; // axes of the arrow keys in each plane
const SIDE_LETTERS = [["R", "L", "A", "P"], ["R", "L", "S", "I"], ["P", "A", "S", "I"]];
const HIT_PIXELS = 9;
const DRAG_PIXELS = 4;
const OPACITY = 0.4;
export const COLOURS = [
  [0, 158, 115], [204, 121, 167], [240, 228, 66], [0, 114, 178], [213, 94, 0], [86, 180, 233], [230, 159, 0],
]; // Okabe and Ito: colour-blind people can tell them apart

export class Viewer {
  constructor(image, markers) {
    this.image = image;
    this.markers = markers;
    this.plane = 0;
    this.points = [];
    this.selected = null;
    this.showMask = true;
    this.show3D = false;
    this.onPlace = () => {};
    this.onMove = () => {};
    this.onSelect = () => {};
    this.onLocation = () => {};
    this.onWindow = () => {};
  }

  async start() {
    const mode = { none: 0, pan: 3, crosshair: 8, windowing: 9 };
    this.nv = new niivue.Niivue({
      dragAndDropEnabled: false, isRadiologicalConvention: true, multiplanarShowRender: 1, multiplanarLayout: 2,
      viewModeHotKey: "", clipPlaneHotKey: "", cycleClipPlaneHotKey: "", isOrientationTextVisible: false, crosshairWidth: 0, loadingText: "", logLevel: "error",
      mouseEventConfig: {
        leftButton: { primary: mode.crosshair }, rightButton: mode.windowing, centerButton: mode.pan,
      },
    });
    await this.nv.attachToCanvas(this.image);
    // Without a graphics card, the 3D view would slow down every movement of the crosshair.
    const details = this.nv.gl.getExtension("WEBGL_debug_renderer_info");
    const renderer = details ? this.nv.gl.getParameter(details.UNMASKED_RENDERER_WEBGL) : "";
    this.set3D(!/swiftshader|llvmpipe|software/i.test(renderer));
    this.nv.setSliceType(this.nv.sliceTypeMultiplanar);
    this.nv.setDrawColormap(labelColours()); // before the first image: it renews all textures
    this.nv.onLocationChange = () => this.onLocation(this.crosshairVoxel(), this.value());
    this.nv.onIntensityChange = () => this.onWindow(...this.window());
    const draw = this.nv.drawScene.bind(this.nv);
    this.nv.drawScene = (...args) => {
      const result = draw(...args);
      this.drawMarkers();
      return result;
    };
    this.image.addEventListener("pointerdown", (event) => this.pointerDown(event), true);
    window.addEventListener("pointerup", (event) => this.pointerUp(event), true);
  }

  get isEmpty() {
    return !this.nv || !this.nv.volumes.length;
  }

  clear() {
    this.points = [];
    this.loaded = null;
    this.nv.closeDrawing();
    this.nv.volumes = [];
    this.nv.updateGLVolume();
  }

  // Load a channel. Of the same case, crosshair and zoom stay.
  async load(address, info) {
    const keep = this.info === info && !this.isEmpty;
    const crosshair = keep ? [...this.nv.scene.crosshairPos] : [0.5, 0.5, 0.5];
    const pan = keep ? [...this.nv.scene.pan2Dxyzmm] : [0, 0, 0, 1];
    if (!this.isEmpty) this.clear();
    this.info = info;
    const response = await fetch(address);
    if (!response.ok) throw new Error((await response.json()).error);
    const content = await response.arrayBuffer();
    if (this.info !== info) return; // another case was opened meanwhile
    await this.nv.loadFromArrayBuffer(content, "image.nii");
    this.nv.createEmptyDrawing();
    this.nv.setDrawOpacity(this.showMask ? OPACITY : 0);
    this.nv.scene.crosshairPos = crosshair;
    this.nv.setPan2Dxyzmm(pan);
    this.perm = this.nv.volumes[0].permRAS;
    this.dims = this.nv.volumes[0].dimsRAS.slice(1, 4);
    this.loaded = address;
    this.onLocation(this.crosshairVoxel(), this.value());
    this.onWindow(...this.window());
  }

  // Voxel (x, y, z) of the file for a position in the viewer, through world millimetres and the affine of the file.
  voxelAt(frac) {
    const mm = this.nv.frac2mm(frac, 0, true);
    const voxel = this.info.inverse.slice(0, 3).map((row) => {
      const index = Math.floor(row[0] * mm[0] + row[1] * mm[1] + row[2] * mm[2] + row[3] + 0.5);
      return index === 0 ? 0 : index; // not -0
    });
    return voxel.map((index, axis) => Math.min(Math.max(index, 0), this.info.shape[axis] - 1));
  }

  fracOf(voxel) {
    const mm = this.info.affine.slice(0, 3).map((row) => row[0] * voxel[0] + row[1] * voxel[1] + row[2] * voxel[2] + row[3]);
    return this.nv.mm2frac(mm, 0, true);
  }

  crosshairVoxel() {
    return this.voxelAt(this.nv.scene.crosshairPos);
  }

  value() {
    const volume = this.nv.volumes[0];
    const [x, y, z] = this.crosshairVoxel();
    const [width, height] = this.info.shape;
    return volume.img[x + width * (y + height * z)];
  }

  goTo(voxel) {
    this.nv.scene.crosshairPos = this.fracOf(voxel);
    this.nv.createOnLocationChange();
    this.nv.drawScene();
  }

  // Move along the axes of the plane that the keys control, in voxels: right, up, or through the slices.
  step(right, up, through) {
    const move = [0, 0, 0];
    const [horizontal, vertical] = KEY_AXES[this.plane];
    // Radiological: the patient's left is on the right. The sagittal plane shows anterior on the right.
    move[horizontal] += this.plane === 2 ? right : -right;
    move[vertical] += up;
    move[NORMAL[this.plane]] += through;
    this.nv.moveCrosshairInVox(...move);
  }

  setPlane(plane) {
    this.plane = plane;
    this.nv.drawScene();
    return PLANES[plane];
  }

  zoom(factor) {
    const pan = [...this.nv.scene.pan2Dxyzmm];
    const scale = factor ? Math.min(Math.max(pan[3] * factor, 0.5), 30) : 1;
    const mm = this.nv.frac2mm(this.nv.scene.crosshairPos, 0, false);
    // The crosshair stays where it is.
    for (let axis = 0; axis < 3; axis++) pan[axis] = factor ? pan[axis] + (pan[3] - scale) * mm[axis] : 0;
    this.nv.setPan2Dxyzmm([pan[0], pan[1], pan[2], scale]);
  }

  window() {
    const volume = this.nv.volumes[0];
    return [volume.cal_min, volume.cal_max];
  }

  setWindow(low, high) {
    const volume = this.nv.volumes[0];
    [volume.cal_min, volume.cal_max] = low === null ? [volume.robust_min, volume.robust_max] : [low, high];
    this.nv.updateGLVolume();
    this.onWindow(...this.window());
  }

  set3D(show) {
    this.show3D = show;
    this.nv.opts.multiplanarShowRender = show ? 1 : 0;
    this.nv.drawScene();
  }

  toggleMask() {
    this.showMask = !this.showMask;
    this.nv.setDrawOpacity(this.showMask ? OPACITY : 0);
    return this.showMask;
  }

  // Draw masks of boxes in voxels of the file into the drawing layer, whose voxels are upright.
  setMasks(masks) {
    if (this.isEmpty || !this.nv.drawBitmap) return;
    const bitmap = this.nv.drawBitmap;
    bitmap.fill(0);
    const [dx, dy] = this.dims;
    const step = [1, dx, dx * dy];
    const stride = [0, 0, 0];
    let origin = 0;
    this.perm.forEach((axis, upright) => {
      stride[Math.abs(axis) - 1] = axis > 0 ? step[upright] : -step[upright];
      if (axis < 0) origin += (this.dims[upright] - 1) * step[upright];
    });
    for (const { start, size, bits, label } of masks) {
      const bytes = Uint8Array.from(atob(bits), (letter) => letter.charCodeAt(0));
      let bit = 0;
      for (let z = 0; z < size[2]; z++) {
        for (let y = 0; y < size[1]; y++) {
          let place = origin + start[0] * stride[0] + (start[1] + y) * stride[1] + (start[2] + z) * stride[2];
          for (let x = 0; x < size[0]; x++, bit++, place += stride[0]) {
            if (bytes[bit >> 3] & (1 << (bit & 7))) bitmap[place] = label;
          }
        }
      }
    }
    this.nv.refreshDrawing(true);
  }

  // Points: { voxel, inside, text, wrong, current, key, index }.
  setPoints(points, selected) {
    this.points = points;
    this.selected = selected;
    this.drawMarkers();
  }

  // Position in canvas pixels of a voxel on a plane, and its distance from the shown slice in voxels.
  onScreen(voxel, plane) {
    const frac = [...this.fracOf(voxel)];
    const axis = NORMAL[plane];
    const apart = Math.abs(frac[axis] - this.nv.scene.crosshairPos[axis]) * this.dims[axis];
    frac[axis] = this.nv.scene.crosshairPos[axis];
    const found = this.nv.frac2canvasPosWithTile(frac, plane);
    return found && { x: found.pos[0], y: found.pos[1], apart };
  }

  drawMarkers() {
    const { width, height } = this.image;
    if (this.markers.width !== width || this.markers.height !== height) Object.assign(this.markers, { width, height });
    const context = this.markers.getContext("2d");
    context.clearRect(0, 0, width, height);
    if (this.isEmpty || !this.loaded) return;
    const unit = this.nv.uiData.dpr || 1;
    this.drawn = [];
    for (let plane = 0; plane < 3; plane++) this.drawPlane(context, plane, unit);
    for (const point of this.points) {
      for (let plane = 0; plane < 3; plane++) {
        const place = this.onScreen(point.voxel, plane);
        if (!place || place.apart > 2.5) continue;
        const isHere = place.apart <= 0.6;
        context.globalAlpha = isHere ? 1 : 0.45;
        this.drawMarker(context, point, place, unit);
        if (isHere) this.drawn.push({ ...place, point });
      }
    }
    context.globalAlpha = 1;
  }

  // Thin lines with a gap, so that the voxel under the crosshair stays visible, and the sides of the patient.
  drawPlane(context, plane, unit) {
    const slice = this.nv.screenSlices.find((candidate) => candidate.axCorSag === plane);
    const found = this.nv.frac2canvasPosWithTile(this.nv.scene.crosshairPos, plane);
    if (!slice || !found) return;
    const [left, top, right, bottom] = edges(slice.leftTopWidthHeight);
    const [x, y] = found.pos;
    const gap = 10 * unit;
    context.strokeStyle = "#f0e442";
    context.lineWidth = unit;
    context.beginPath();
    for (const [x1, y1, x2, y2] of [[left, y, x - gap, y], [x + gap, y, right, y], [x, top, x, y - gap], [x, y + gap, x, bottom]]) {
      context.moveTo(x1, y1);
      context.lineTo(x2, y2);
    }
    context.stroke();
    if (plane === this.plane && document.activeElement === this.image) {
      context.strokeRect(left + unit, top + unit, right - left - 2 * unit, bottom - top - 2 * unit);
    }
    const middle = [(left + right) / 2, (top + bottom) / 2];
    const edge = 10 * unit;
    const [west, east, north, south] = SIDE_LETTERS[plane];
    const places = [[west, left + edge, middle[1]], [east, right - edge, middle[1]], [north, middle[0], top + edge], [south, middle[0], bottom - edge]];
    for (const [text, textX, textY] of places) drawText(context, text, textX, textY, unit, "center");
  }

  drawMarker(context, point, { x, y }, unit) {
    const radius = 6 * unit;
    const isSelected = this.selected && point.key === this.selected.key && point.index === this.selected.index;
    context.lineWidth = 2 * unit;
    context.strokeStyle = "#000";
    context.fillStyle = point.inside ? "#56b4e9" : "#e69f00";
    context.beginPath();
    if (point.inside) {
      context.arc(x, y, radius, 0, 2 * Math.PI);
    } else {
      for (const [dx, dy] of [[0, -1], [1, 0], [0, 1], [-1, 0]]) context.lineTo(x + dx * radius, y + dy * radius);
      context.closePath();
    }
    context.fill();
    context.stroke();
    if (isSelected || point.wrong) {
      context.strokeStyle = isSelected ? "#fff" : "#ff8c5a";
      context.setLineDash(point.wrong ? [3 * unit, 3 * unit] : []);
      context.strokeRect(x - radius - 4 * unit, y - radius - 4 * unit, 2 * radius + 8 * unit, 2 * radius + 8 * unit);
      context.setLineDash([]);
    }
    drawText(context, point.wrong ? `${point.text} !` : point.text, x + radius + 3 * unit, y - radius, unit, "left");
  }

  pointerDown(event) {
    if (event.button !== 0 || this.isEmpty || !this.loaded) return;
    const place = this.canvasPosition(event);
    const hit = (this.drawn || []).find(({ x, y }) => Math.hypot(x - place.x, y - place.y) <= HIT_PIXELS * place.unit);
    this.press = { ...place, point: hit && !event.shiftKey ? hit.point : null };
    if (this.press.point) this.onSelect(this.press.point);
  }

  pointerUp(event) {
    const press = this.press;
    this.press = null;
    if (event.button !== 0 || !press || this.isEmpty || !this.loaded) return;
    const place = this.canvasPosition(event);
    const moved = Math.hypot(place.x - press.x, place.y - press.y) > DRAG_PIXELS * place.unit;
    if (moved === !press.point) return; // a drag in the image, or a click on a point
    const tile = this.nv.tileIndex(place.x, place.y);
    const plane = tile < 0 ? -1 : this.nv.screenSlices[tile].axCorSag;
    const frac = this.nv.canvasPos2frac([place.x, place.y]);
    if (plane < 0 || plane > 2 || frac[0] < 0) return;
    this.plane = plane;
    const voxel = this.voxelAt(frac);
    if (press.point) this.onMove(press.point, voxel);
    else this.onPlace(voxel);
  }

  canvasPosition(event) {
    const box = this.image.getBoundingClientRect();
    const unit = this.nv.uiData.dpr || 1;
    return { x: (event.clientX - box.left) * unit, y: (event.clientY - box.top) * unit, unit };
  }
}

// Left, top, right and bottom of a tile, whose width is negative if it is mirrored.
function edges([left, top, width, height]) {
  return [Math.min(left, left + width), top, Math.max(left, left + width), top + height];
}

function drawText(context, text, x, y, unit, align) {
  context.font = `${14 * unit}px system-ui, sans-serif`;
  context.textAlign = align;
  context.textBaseline = "middle";
  context.lineWidth = 3 * unit;
  context.strokeStyle = "#000";
  context.fillStyle = "#fff";
  context.strokeText(text, x, y);
  context.fillText(text, x, y);
}

function labelColours() {
  const map = { R: [0], G: [0], B: [0], A: [0], I: [0], labels: ["background"] };
  for (let label = 1; label < 256; label++) {
    const [red, green, blue] = COLOURS[(label - 1) % COLOURS.length];
    map.R.push(red);
    map.G.push(green);
    map.B.push(blue);
    map.A.push(255);
    map.I.push(label);
    map.labels.push(String(label));
  }
  return map;
}
