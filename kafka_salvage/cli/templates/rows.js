/* Rows: the tables of the page, read by name. Ranges become pieces only when they are drawn. */

const RECORDS = ["data", "control", "none", "committed", "aborted", "open", "unknown"];

class Partition {
  constructor([topic, partition, state, selected, base, spans, sums, records, marks, copies, omitted, topicId], place) {
    Object.assign(this, { topic, partition, base, spans, sums, records, place, omitted });
    this.state = name(state);
    this.selected = Boolean(selected);
    this.name = `${topic}-${partition}`;
    this.end = spans.length ? spans[spans.length - 1][0] : base;
    this.length = from(base, this.end);
    [this.logStart, this.highWatermark] = marks;
    this.topicId = name(topicId);
    this.copies = copies.map((copy) => new Copy(copy));
    this.harm = DATA.statuses.reduce((total, status, i) => total + (isCalm(status) ? 0 : Number(sums[i])), 0);
    this.unusual = this.harm || this.sums.some((count, i) => count && DATA.statuses[i] !== "recovered" && DATA.statuses[i] !== "absent");
    this.text = (this.name + " " + this.state).toLowerCase();
  }

  count(status) {
    return this.sums[DATA.statuses.indexOf(status)];
  }

  start(row) {
    return row ? this.spans[row - 1][0] : this.base;
  }

  pieces() {
    const pieces = new Pieces(STATUS.classes, STATUS.thin);
    let at = 0;
    this.spans.forEach(([stop, status], row) => {
      const next = from(this.base, stop);
      if (Array.isArray(status)) pieces.share(at, next, STATUS.order.map((place) => status[place]), row);
      else pieces.add(at, next, STATUS.of[status], row);
      at = next;
    });
    return pieces;
  }

  isBad(row) {
    const status = this.spans[row][1];
    if (Array.isArray(status)) return status.some((count, i) => Number(count) && !isCalm(DATA.statuses[i]));
    return !isCalm(DATA.statuses[status]);
  }

  /* Offsets by status between two places of the line; ranges that are cut count with their part. */
  tally(start, stop) {
    const sums = DATA.statuses.map(() => 0), absent = DATA.statuses.indexOf("absent");
    let lo = 0;
    for (const [end, status, without = 0] of this.spans) {
      const hi = from(this.base, end), part = Math.max(0, Math.min(hi, stop) - Math.max(lo, start));
      const share = hi > lo ? part / (hi - lo) : 0;
      if (part && Array.isArray(status)) status.forEach((count, i) => (sums[i] += Number(count) * share));
      else if (part) {
        sums[status] += part - Number(without) * share;
        sums[absent] += Number(without) * share;
      }
      lo = hi;
    }
    return sums.map(Math.round);
  }
}

class Copy {
  constructor([label, source, path, state, reach, highWatermark, bytes, records, onlyHere, elected, gave, ranges, would]) {
    Object.assign(this, { path, reach, highWatermark, bytes, records, onlyHere, elected, gave, ranges, would });
    this.name = name(label);
    this.source = name(source);
    this.state = name(state);
    this.segments = [];
  }

  /* What the copy holds, what of it was taken, and where it is damaged, on the line of its partition. */
  pieces(partition) {
    const pieces = new Pieces(["c-held", "c-gave", "c-repaired", "c-odd", "c-damaged"], [NARROW, NARROW, SEEN, SEEN, SEEN]);
    const marks = [];
    const put = (reach, kind, row) => {
      const lo = Math.max(0, from(partition.base, reach[0])), hi = Math.min(partition.length, from(partition.base, reach[1]));
      if (hi > lo) marks.push([lo, hi, kind, row]);
    };
    const kinds = { intact: 0, duplicate: 0, repaired: 2, suspect: 3, undecodable: 3, damaged: 4, foreign: 4, unreadable: 4 };
    this.segments.forEach((segment) => {
      segment.regions.forEach(([, verdict, , , offsets], row) => {
        const kind = kinds[DATA.verdicts[verdict]];
        if (!Array.isArray(verdict) && offsets && kind !== undefined) put(offsets, kind, { segment, row });
      });
    });
    this.ranges.forEach((range) => put(range, 1, { gave: range }));
    marks.sort((a, b) => a[0] - b[0] || a[2] - b[2]);
    marks.forEach(([lo, hi, kind, row]) => pieces.add(lo, hi, kind, row));
    return pieces;
  }
}

class Segment {
  constructor([source, directory, file, state, partition, copy, regions, heads], place) {
    Object.assign(this, { regions, heads, place, file });
    this.source = name(source);
    this.directory = name(directory);
    this.path = (this.directory ? this.directory + "/" : "") + file;
    this.state = name(state);
    this.partition = PARTITIONS[partition];
    this.copy = this.partition ? this.partition.copies[copy] : undefined;
    if (this.copy) this.copy.segments.push(this);
    this.size = regions.length ? regions[regions.length - 1][0] : 0;
    this.sums = DATA.verdicts.map(() => 0);
    this.batches = this.records = this.damages = 0;
    let at = 0;
    for (const [stop, verdict, batches = 0, records = 0] of regions) {
      if (Array.isArray(verdict)) verdict.forEach((count, i) => (this.sums[i] += count));
      else {
        this.sums[verdict] += stop - at;
        this.batches += batches;
        this.records += records;
        if (!isCalm(DATA.verdicts[verdict])) this.damages++;
      }
      at = stop;
    }
    this.harmed = this.sums.reduce((total, count, i) => total + (isCalm(DATA.verdicts[i]) ? 0 : count), 0);
    this.text = (this.source + ":" + this.path + " " + this.state).toLowerCase();
  }

  start(row) {
    return row ? this.regions[row - 1][0] : 0;
  }

  pieces() {
    const pieces = new Pieces(VERDICT.classes, VERDICT.thin);
    let at = 0;
    this.regions.forEach(([stop, verdict], row) => {
      if (Array.isArray(verdict)) pieces.share(at, stop, VERDICT.order.map((place) => verdict[place]), row);
      else pieces.add(at, stop, VERDICT.of[verdict], row);
      at = stop;
    });
    return pieces;
  }

  isBad(row) {
    const verdict = this.regions[row][1];
    if (Array.isArray(verdict)) return verdict.some((count, i) => count && !isCalm(DATA.verdicts[i]));
    return !isCalm(DATA.verdicts[verdict]);
  }

  tally(start, stop) {
    const sums = DATA.verdicts.map(() => 0);
    let lo = 0;
    for (const [hi, verdict] of this.regions) {
      const part = Math.max(0, Math.min(hi, stop) - Math.max(lo, start));
      if (part && Array.isArray(verdict)) verdict.forEach((count, i) => (sums[i] += (count * part) / (hi - lo)));
      else if (part) sums[verdict] += part;
      lo = hi;
    }
    return sums.map(Math.round);
  }
}

class Finding {
  constructor([id, code, source, path, start, stop, offsets, message, detail], place) {
    Object.assign(this, { id, path, start, stop, offsets, message, detail, place });
    this.code = name(code);
    this.source = name(source);
    this.where = SEVERAL ? this.source + ":" + path : path;
    this.bytes = stop > start ? `${start}..${stop}` : "";
    this.reach = offsets ? `${offsets[0]}..${offsets[1]}` : "";
    this.text = [id, this.code, this.source + ":" + path, message].join(" ").toLowerCase();
  }
}

const HEADS = DATA.heads.map(([start, stop, verdict, cells, fields, problem]) => ({ start, stop, verdict: name(verdict), cells, fields, problem }));
const PARTITIONS = DATA.partitions.map((row, place) => new Partition(row, place));
const SEGMENTS = DATA.segments.map((row, place) => new Segment(row, place));
const SEVERAL = new Set(SEGMENTS.map((segment) => segment.source)).size > 1;
const FINDINGS = DATA.findings.map((row, place) => new Finding(row, place));
const BY_PATH = new Map(SEGMENTS.map((segment) => [segment.source + "\n" + segment.path, segment]));
