/* Zoom: a bar with lanes that is looked into with the keyboard or the mouse; the first lane is what arrows walk along. */

const KEYS_SAID = [["← →", "range by range"], ["+ −", "zoom"], ["N P", "next, previous damage"], ["↑ ↓", "copies"], ["⇧← ⇧→", "move"], ["Home End", "ends"], ["0", "all"]];

class Zoom {
  /* model: lanes [{name, pieces}], stop, base, unit, describe(lane, row), isBad(lane, row), tally(start, stop), label */
  constructor(host, model) {
    this.model = model;
    this.start = 0;
    this.stop = Math.max(model.stop, 1);
    this.lane = 0;
    this.at = 0;
    this.window = make("div", { class: "window", hidden: true });
    this.small = make("svg", { "aria-hidden": "true" });
    this.strips = model.lanes.map((lane, place) => this.strip(lane, place));
    this.axis = make("div", { class: "axis", "aria-hidden": "true" });
    this.readout = make("output", { class: "readout", "aria-live": "polite" });
    this.inview = make("div", { class: "inview" });
    this.zone = make("div", {
      class: "zoom", tabindex: "0", role: "application", "aria-roledescription": "zoomable bar", "aria-label": model.label + ". Arrow keys go from range to range, plus and minus zoom, N goes to the next damage.",
      onkeydown: (event) => this.key(event),
    });
    this.zone.style.setProperty("--names", model.lanes.length > 1 ? "11rem" : "0px");
    if (model.lanes.length === 1) this.zone.classList.add("single");
    this.zone.append(make("div", { class: "overview" }, this.small, this.window));
    const lanes = make("div", { class: "lanes" });
    lanes.append(...this.strips.map((strip) => strip.element));
    this.zone.append(lanes, this.axis);
    host.append(this.zone, this.bench(), this.readout, this.inview);
    paint(this.small, model.lanes[0].pieces, 0, this.stop, 10);
    const worst = this.nextBad(-1, 1);
    this.at = worst < 0 ? 0 : worst;
    this.draw();
  }

  strip(lane, place) {
    const svg = make("svg", { "aria-hidden": "true" });
    const mark = make("div", { class: "mark", hidden: true });
    const strip = make("div", { class: "strip" }, svg, mark);
    if (lane.pieces.lo.length === 0) strip.title = "nothing";
    const name = make("div", { class: "name", title: lane.name }, lane.name);
    const element = make("div", { class: "lane" }, name, strip);
    const position = (event) => {
      const box = strip.getBoundingClientRect();
      return this.start + ((event.clientX - box.left) / box.width) * (this.stop - this.start);
    };
    strip.addEventListener("pointerdown", (event) => this.grab(event, strip, place, position(event)));
    strip.addEventListener("dblclick", (event) => this.zoom(0.25, position(event)));
    return { element, svg, mark, name };
  }

  /* A press picks a range; a drag moves the view. */
  grab(event, strip, place, where) {
    const began = event.clientX, start = this.start, span = this.stop - this.start;
    let moved = false;
    const move = (next) => {
      if (Math.abs(next.clientX - began) < 4 && !moved) return;
      moved = true;
      this.view(start - ((next.clientX - began) / strip.clientWidth) * span, span);
    };
    const end = () => {
      strip.removeEventListener("pointermove", move);
      if (!moved) {
        this.lane = place;
        this.pick(this.nearest(this.model.lanes[place].pieces, where));
      }
    };
    strip.setPointerCapture(event.pointerId);
    strip.addEventListener("pointermove", move);
    strip.addEventListener("pointerup", end, { once: true });
    strip.addEventListener("pointercancel", end, { once: true });
  }

  /* The piece at a place; one that is drawn wider than it is wins. */
  nearest(pieces, where) {
    const reach = ((this.stop - this.start) / WIDTH) * SEEN;
    let best = pieces.first(where);
    for (let i = pieces.first(where - reach); i < pieces.lo.length && pieces.lo[i] <= where + reach; i++) {
      if (pieces.thin[pieces.kind[i]] === SEEN) best = i;
    }
    return Math.min(best, pieces.lo.length - 1);
  }

  bench() {
    const button = (text, label, action) => make("button", { type: "button", "aria-label": label, title: label, onclick: action }, text);
    const keys = make("span", { "aria-hidden": "true" });
    KEYS_SAID.forEach(([key, meaning]) => {
      if (meaning !== "copies" || this.model.lanes.length > 1) keys.append(make("kbd", {}, key), ` ${meaning}  `);
    });
    this.out = button("−", "Zoom out", () => this.zoom(2));
    this.all = button("All", "Show all", () => this.view(0, this.model.stop));
    this.before = button("‹ Damage", "Previous damage", () => this.jump(-1));
    this.after = button("Damage ›", "Next damage", () => this.jump(1));
    return make("div", { class: "bench" }, button("+", "Zoom in", () => this.zoom(0.5)), this.out, this.all, this.before, this.after, keys);
  }

  pieces() {
    return this.model.lanes[this.lane].pieces;
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const span = this.stop - this.start;
    const actions = {
      ArrowRight: () => (event.shiftKey ? this.view(this.start + span / 4, span) : this.step(1)),
      ArrowLeft: () => (event.shiftKey ? this.view(this.start - span / 4, span) : this.step(-1)),
      ArrowDown: () => this.turn(1),
      ArrowUp: () => this.turn(-1),
      "+": () => this.zoom(0.5), "=": () => this.zoom(0.5), "-": () => this.zoom(2), _: () => this.zoom(2),
      Home: () => this.pick(0), End: () => this.pick(this.pieces().lo.length - 1),
      0: () => this.view(0, this.model.stop), Escape: () => this.view(0, this.model.stop),
      n: () => this.jump(1), N: () => this.jump(1), p: () => this.jump(-1), P: () => this.jump(-1),
      Enter: () => this.close(),
    };
    if (!actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  }

  /* To another lane, to the range that lies at the same place. */
  turn(way) {
    const lane = this.lane + way;
    if (lane < 0 || lane >= this.model.lanes.length || !this.model.lanes[lane].pieces.lo.length) return;
    const middle = this.middle();
    this.lane = lane;
    this.pick(Math.min(this.pieces().first(middle), this.pieces().lo.length - 1));
  }

  step(way) {
    const row = this.pieces().row[this.at];
    let at = this.at + way;
    while (at >= 0 && at < this.pieces().lo.length && this.pieces().row[at] === row) at += way;
    if (at >= 0 && at < this.pieces().lo.length) this.pick(at);
  }

  nextBad(at, way) {
    const pieces = this.pieces();
    for (let i = at + way; i >= 0 && i < pieces.lo.length; i += way) {
      if (this.model.isBad(this.lane, pieces.row[i]) && pieces.row[i] !== pieces.row[at]) return i;
    }
    return -1;
  }

  jump(way) {
    const found = this.nextBad(this.at, way);
    if (found >= 0) this.pick(found);
  }

  pick(at) {
    if (at < 0) return;
    this.at = at;
    const pieces = this.pieces(), span = this.stop - this.start;
    if (pieces.hi[at] <= this.start || pieces.lo[at] >= this.stop) this.view((pieces.lo[at] + pieces.hi[at] - span) / 2, span);
    else this.draw();
  }

  /* So that the picked range fills a third of the bar. */
  close() {
    const pieces = this.pieces(), width = pieces.hi[this.at] - pieces.lo[this.at];
    this.view(pieces.lo[this.at] - width, 3 * width);
  }

  middle() {
    const pieces = this.pieces();
    const lo = Math.max(pieces.lo[this.at] ?? 0, this.start), hi = Math.min(pieces.hi[this.at] ?? this.stop, this.stop);
    return hi > lo ? (lo + hi) / 2 : (this.start + this.stop) / 2;
  }

  zoom(factor, around) {
    const middle = around ?? this.middle();
    const span = (this.stop - this.start) * factor;
    this.view(middle - span / 2, span);
  }

  view(start, span) {
    span = Math.min(Math.max(span, Math.min(4, this.model.stop)), Math.max(this.model.stop, 1));
    this.start = Math.min(Math.max(start, 0), Math.max(this.model.stop, 1) - span);
    this.stop = this.start + span;
    this.draw();
  }

  draw() {
    const { model, start, stop } = this;
    this.strips.forEach((strip, place) => {
      paint(strip.svg, model.lanes[place].pieces, start, stop, place ? 14 : 30);
      this.place(strip.mark, place === this.lane ? this.at : -1);
    });
    const whole = Math.max(model.stop, 1), all = stop - start >= whole;
    this.window.hidden = all;
    this.window.style.left = (100 * start) / whole + "%";
    this.window.style.width = (100 * (stop - start)) / whole + "%";
    this.out.disabled = this.all.disabled = all;
    this.before.disabled = this.nextBad(this.at, -1) < 0;
    this.after.disabled = this.nextBad(this.at, 1) < 0;
    this.ticks();
    this.tell();
  }

  place(mark, at) {
    const pieces = this.pieces(), span = this.stop - this.start;
    const hidden = at < 0 || !pieces.lo.length || pieces.hi[at] < this.start || pieces.lo[at] > this.stop;
    mark.hidden = hidden;
    if (hidden) return;
    const row = pieces.row[at];
    let first = at, last = at;
    while (first > 0 && pieces.row[first - 1] === row) first--;
    while (last + 1 < pieces.row.length && pieces.row[last + 1] === row) last++;
    const lo = Math.max((pieces.lo[first] - this.start) / span, 0), hi = Math.min((pieces.hi[last] - this.start) / span, 1);
    const narrow = Math.max(hi - lo, SEEN / WIDTH);
    mark.style.left = 100 * Math.min(lo - (narrow - (hi - lo)) / 2, 1 - narrow) + "%";
    mark.style.width = 100 * narrow + "%";
  }

  ticks() {
    const span = this.stop - this.start, drawn = [];
    const parts = window.innerWidth < 700 ? 2 : 5;
    for (let i = 0; i <= parts; i++) {
      const at = Math.round(this.start + (span * i) / parts);
      const tick = make("span", {}, onward(this.model.base, at));
      tick.style.left = (100 * (at - this.start)) / span + "%";
      drawn.push(tick);
    }
    this.axis.replaceChildren(...drawn);
  }

  tell() {
    const pieces = this.pieces();
    this.readout.replaceChildren(...(pieces.lo.length ? this.model.describe(this.lane, pieces.row[this.at]) : ["Nothing is here."]));
    this.zone.dataset.view = onward(this.model.base, this.start) + " " + onward(this.model.base, this.stop);
    this.inview.replaceChildren(...this.model.tally(this.start, this.stop));
  }
}
